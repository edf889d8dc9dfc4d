# SPDX-License-Identifier: GPL-2.0-only
#
# Variables: KERNEL=eventfs|stock  DEBUG=1  BASE=v6.12|mainline  KSRC=path
#            CONFIG=kcsan|kmsan|rt|small|strict|faults|clients|gdb  (DEBUG=1 is CONFIG=debug)
#            CMD='...'  SMP=n  MEM=size  ICOUNT=1  ACCEL=auto|kvm|tcg  TIMEOUT=seconds
#            ONLY=suite CASE=glob (make test, make clients)
#            ONLY=check (make check)  ONLY=Class.test_name (make test-tools)
#            RESULTS=directory (make test, make harden: results.ktap, .xml, logs)
#            PROFILE='case,place,size' (make bench-profile)
#            ONLY=patch COMPILE=1 SHORT=1 (make series-check)  FORCE=1 (make overlay)
#            MINUTES=n SEED=n ONLY=workers (make stress)
#            SECONDS=n SEED=n INPUT=hex (make fuzz)
#            One that a target does not take is an error.

# The tools read these from the environment, where no shell or make expands
# what the user wrote.
VARIABLES := CMD KERNEL CONFIG DEBUG BASE KSRC SMP MEM ICOUNT ACCEL TIMEOUT ONLY CASE PROFILE \
	MINUTES SECONDS SEED INPUT RESULTS COMPILE SHORT FORCE
GIVEN := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
$(foreach name,$(filter $(VARIABLES),$(GIVEN)),\
	$(eval override $(name) := $$(value $(name))))
export $(VARIABLES)

# What only the environment has a meaning for may be given here as well; all else is
# misspelt, and would do nothing.
UNKNOWN := $(filter-out $(VARIABLES) EVENTFS_% XDG_% CCACHE_% HOME PATH SHELL TMPDIR,$(GIVEN))
$(if $(UNKNOWN),$(error there is no variable $(UNKNOWN); make help lists them))

MAKEFLAGS += --no-print-directory

.PHONY: help run debug test test-rest test-all test-long test-mainline harden record-stock \
	bench bench-check bench-record bench-profile picture clients mutants coverage stress \
	fuzz model check series series-check overlay deb test-tools clean python

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16
	@sed -n 's/^# \(Variables:.*\)/\n\1/p; s/^#   \( *[A-Z].*\)/  \1/p' $(MAKEFILE_LIST)

# The tools are written in Python; what else they need they install themselves.
python:
	@command -v python3 >/dev/null || \
	{ [ "$$(id -u)" = 0 ] && { apt-get update && apt-get install -y \
	  --no-install-recommends python3; } >/dev/null 2>&1; } || \
	{ echo "error: missing programs; as root: apt-get install python3" >&2; exit 1; }

run: python ## Boot the kernel and show eventfs at work, or run CMD='...' in the guest
	@dev/guest.py

debug: python ## Boot it for gdb to attach, and print the command that does
	@dev/guest.py --gdb

test: python ## Run the tests to run after a change, in guests; ONLY=suite runs one of them
	@dev/test.py

test-rest: python ## Run the tests that make test-all has beyond make test
	@dev/test.py --rest

test-all: python ## Run both of these
	@dev/test.py --all

test-long: python ## Run the long form of some, and the kernel's own tests on the stock kernel
	@dev/test.py --long

test-mainline: python ## Run make test-all on mainline
	@dev/test.py --all --base=mainline

harden: python ## Run the tests on KCSAN, KMSAN, PREEMPT_RT, other architectures
	@harden/harden.py

record-stock: python ## Record which upstream tests do not pass on the stock kernel
	@dev/test.py --record-stock

bench: python ## Measure this eventfs against the stock one: a table and a picture
	@bench/bench.py

bench-check: python ## Measure operations only: did a ratio get worse than recorded?
	@bench/bench.py --check

bench-record: python ## Run make bench and record what it found in bench/
	@bench/bench.py --record

bench-profile: python ## Where do the instructions of one figure go, by function?
	@bench/bench.py --profile "$$PROFILE"

picture: python ## Record a session in the guest's shell, as the picture of README
	@dev/picture.py

clients: python ## Ask trace-cmd, perf, bpftrace and more on both kernels: the same answers?
	@clients/clients.py

mutants: python ## Put small faults into fs/tracefs: is there one that no test notices?
	@harden/mutants.py

coverage: python ## Which lines of fs/tracefs do KUnit and the selftests reach?
	@harden/coverage.py

stress: python ## Stress it for MINUTES; SEED=n runs the same operations again
	@harden/stress.py

fuzz: python ## Fuzz the debug kernel with an oracle for SECONDS, or run INPUT again
	@harden/fuzz.py

model: python ## Check the model of the protocol, and that it notices what is wrong
	@harden/model.py

check: python ## Check the code without running it; ONLY=check runs one of the checks
	@dev/check.py

series: python ## Write the patches as git format-patch does, and apply them
	@series/series.py

series-check: python ## Build, boot and test the state after each patch
	@series/series_check.py

overlay: python ## Put our files into a kernel tree of your own, KSRC=path
	@dev/overlay.py

deb: python ## Make a Debian package of a small kernel with them
	@dev/deb.py

test-tools: python ## Test the tools' handling of errors, without building a kernel
	@dev/test_tools.py

clean: ## Remove build/; the cache, which it names, stays
	@rm -rf build
	@echo "the cache stays: $${EVENTFS_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/eventfs}"
