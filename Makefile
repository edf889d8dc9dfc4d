# SPDX-License-Identifier: GPL-2.0-only
#
# Variables: KERNEL=eventfs|stock  DEBUG=1  BASE=v6.12|v7.2|mainline  KSRC=path
#            CONFIG=kcsan|kmsan|rt|small|strict|faults|clients|gdb  (DEBUG=1 is CONFIG=debug)
#            CONFIG=cloud (make deb)
#            CMD='...'  SMP=n  MEM=size  ICOUNT=1  ACCEL=auto|kvm|tcg  TIMEOUT=seconds
#            ONLY=suite CASE=glob (make test, make clients)
#            ONLY=check (make check)  ONLY=Class.test_name (make test-tools)
#            RESULTS=directory (make test, make harden: results.ktap, .xml, logs)
#            PROFILE='case,place,size' (make bench-profile)
#            ONLY=series SIGNOFF='Name <mail>' ASSISTED_BY='...' REVIEWER='Name <mail>'
#            REROLL=n (make series)  TREE=path (make series-branch, make series-save)
#            ONLY=series COMPILE=1 (make series-check)
#            FORCE=1 (make overlay, make series-branch)
#            MINUTES=n SEED=n ONLY=workers (make stress)
#            SECONDS=n SEED=n INPUT=hex (make fuzz)
#            A variable that a target does not use is an error.

# The tools read these from the environment, so that neither make nor a shell expands
# what the user wrote.
VARIABLES := CMD KERNEL CONFIG DEBUG BASE KSRC SMP MEM ICOUNT ACCEL TIMEOUT ONLY CASE PROFILE \
	MINUTES SECONDS SEED INPUT RESULTS COMPILE FORCE \
	TREE SIGNOFF ASSISTED_BY REVIEWER REROLL
GIVEN := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
$(foreach name,$(filter $(VARIABLES),$(GIVEN)),\
	$(eval override $(name) := $$(value $(name))))
export $(VARIABLES)

# Variables that the tools read only from the environment are allowed on the command line,
# too. Any other name is a mistake, and would have no effect.
UNKNOWN := $(filter-out $(VARIABLES) EVENTFS_% XDG_% CCACHE_% HOME PATH SHELL TMPDIR,$(GIVEN))
$(if $(UNKNOWN),$(error there is no variable $(UNKNOWN): see make help))

MAKEFLAGS += --no-print-directory

.PHONY: help run debug test test-rest test-all test-long test-mainline harden record-stock \
	bench bench-check bench-record bench-profile bench-locks picture clients peers debian \
	mutants coverage stress fuzz model check series series-branch series-save \
	series-check overlay deb test-tools clean python

help: ## List the targets and variables
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16
	@sed -n 's/^# \(Variables:.*\)/\n\1/p; s/^#   \( *[A-Z].*\)/  \1/p' $(MAKEFILE_LIST)

# The tools are written in Python. They install everything else themselves.
python:
	@command -v python3 >/dev/null || \
	{ [ "$$(id -u)" = 0 ] && { apt-get update && apt-get install -y \
	  --no-install-recommends python3; } >/dev/null 2>&1; } || \
	{ echo "error: programs are missing; as root, run: apt-get install python3" >&2; exit 1; }

run: python ## Boot the kernel and show eventfs at work, or run CMD='...' in it
	@dev/guest.py

debug: python ## Boot the kernel stopped for gdb, and print how to attach
	@dev/guest.py --gdb

test: python ## Run the tests for every change; ONLY=suite runs one suite
	@dev/test.py

test-rest: python ## Run the suites of make test-all that make test leaves out
	@dev/test.py --rest

test-all: python ## Run all suites except the long ones
	@dev/test.py --all

test-long: python ## Run the long suites, and ftrace's tests on the stock kernel
	@dev/test.py --long

test-mainline: python ## Run make test-all on mainline
	@dev/test.py --all --base=mainline

harden: python ## Run the tests with KCSAN, KMSAN, PREEMPT_RT and on other architectures
	@harden/harden.py

record-stock: python ## Record which of ftrace's tests fail on the stock kernel
	@dev/test.py --record-stock

bench: python ## Measure this eventfs and the stock one: tables and a picture
	@bench/bench.py

bench-check: python ## Measure again, and fail if a ratio is worse than recorded
	@bench/bench.py --check

bench-record: python ## Run make bench and write the results to bench/
	@bench/bench.py --record

bench-profile: python ## Count the instructions of one figure by kernel function
	@bench/bench.py --profile "$$PROFILE"

bench-locks: python ## Count how often tasks on 4 and 8 processors wait for a lock
	@bench/locks.py

picture: python ## Record the picture of a session for the README
	@dev/picture.py

clients: python ## Compare the output of trace-cmd, perf, bpftrace and others on both kernels
	@clients/clients.py

debian: python ## Compare Debian with its own kernel and with ours (an hour and a half)
	@clients/debian.py

peers: python ## Run test suites of others on both kernels: selftests, libtracefs, perf
	@clients/peers.py

mutants: python ## Put small faults into fs/tracefs, and see if the tests notice them
	@harden/mutants.py

coverage: python ## Count the lines and branches of fs/tracefs that the tests reach
	@harden/coverage.py

stress: python ## Run many operations at once for MINUTES; SEED=n repeats a run
	@harden/stress.py

fuzz: python ## Run random operations for SECONDS and check each result; INPUT repeats one
	@harden/fuzz.py

model: python ## Check a model of the locking protocol exhaustively
	@harden/model.py

check: python ## Check the code with compilers and other tools, without running it
	@dev/check.py

series: python ## Check the patch series and write them to build/series, ready to be sent
	@series/series.py

series-branch: python ## Make commits of the patches in the kernel's work tree TREE=path
	@series/series.py --branch

series-save: python ## Write these commits back to series/, as patches
	@series/series.py --save

series-check: python ## Build, boot and test the state after each patch
	@series/series_check.py

overlay: python ## Copy our files into the kernel tree KSRC=path
	@dev/overlay.py

deb: python ## Build a Debian package of a small kernel with our files
	@dev/deb.py

test-tools: python ## Test the tools, without building a kernel
	@dev/test_tools.py

clean: ## Remove build/; the cache stays
	@rm -rf build
	@echo "the cache is kept: $${EVENTFS_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/eventfs}"
