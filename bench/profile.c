// SPDX-License-Identifier: GPL-2.0-only
/*
 * A plugin for QEMU: where do the instructions of a measured section go?
 *
 * bench/bench.c marks the section with two instructions that do nothing. Each
 * block of code that is executed between them is counted, and at the end of the
 * section they are written to the file that the argument out= names, as address
 * and number of instructions. bench.py sums them up by function.
 *
 * The declarations are those of QEMU's interface for plugins, version 1, whose
 * header Debian 12 has in no package.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info_t;

enum { QEMU_PLUGIN_CB_NO_REGS };

typedef void (*tb_trans_cb)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*exec_cb)(unsigned int cpu, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_trans_cb cb);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, exec_cb cb,
					  int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, exec_cb cb,
					    int flags, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);

int qemu_plugin_version = 1;

/* nopl 0x0beef001(%rax) begins a section, nopl 0x0beef000(%rax) ends it. */
static const uint8_t mark[] = { 0x0f, 0x1f, 0x80, 0x01, 0xf0, 0xee, 0x0b };

struct block {
	struct block *next;
	uint64_t address;
	uint64_t length;
	uint64_t executed;
};

static struct block *blocks;
static const char *output;
static bool counting;

static void count(unsigned int cpu, void *data)
{
	struct block *block = data;

	if (counting)
		block->executed++;
}

static void begin(unsigned int cpu, void *data)
{
	counting = true;
}

/* QEMU may be killed as soon as its guest has ended, so this is the time. */
static void end(unsigned int cpu, void *data)
{
	FILE *file = fopen(output, "w");

	counting = false;
	if (!file)
		abort();
	for (struct block *block = blocks; block; block = block->next) {
		if (block->executed)
			fprintf(file, "%llx %llu\n", (unsigned long long)block->address,
				(unsigned long long)(block->executed * block->length));
	}
	fclose(file);
}

static void find_mark(struct qemu_plugin_insn *insn)
{
	uint8_t bytes[sizeof(mark)];

	if (qemu_plugin_insn_size(insn) != sizeof(mark))
		return;
	memcpy(bytes, qemu_plugin_insn_data(insn), sizeof(bytes));
	bytes[3] |= 1;
	if (memcmp(bytes, mark, sizeof(mark)))
		return;
	memcpy(bytes, qemu_plugin_insn_data(insn), sizeof(bytes));
	qemu_plugin_register_vcpu_insn_exec_cb(insn, bytes[3] & 1 ? begin : end,
					       QEMU_PLUGIN_CB_NO_REGS, NULL);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	struct block *block = calloc(1, sizeof(*block));

	if (!block)
		abort();
	block->address = qemu_plugin_tb_vaddr(tb);
	block->length = qemu_plugin_tb_n_insns(tb);
	block->next = blocks;
	blocks = block;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, count, QEMU_PLUGIN_CB_NO_REGS, block);
	for (size_t i = 0; i < block->length; i++)
		find_mark(qemu_plugin_tb_get_insn(tb, i));
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int argc,
			char **argv)
{
	if (argc != 1 || strncmp(argv[0], "out=", 4))
		return -1;
	output = strdup(argv[0] + 4);
	if (!output)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
