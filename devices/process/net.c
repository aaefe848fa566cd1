/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vmm/dev/net.h>

#define MAC_LEN 17

static const char help[] =
	"net: a network interface\n"
	"  --tap NAME           a tap interface, made when there is none\n"
	"  --tap-fd N           the same, attached already, with IFF_NO_PI and IFF_VNET_HDR,\n"
	"                       or a socket that takes and gives one frame a packet\n"
	"  --mac MAC            the guest's address\n"
	"  --mtu N              told to the guest, and enforced\n"
	"  --drop-foreign-source\n"
	"                       the guest cannot send under another address\n"
	"  --no-offloads        checksums and segments are left to nobody\n";

static const struct option_spec options[] = {
	{"tap", OPTION_VALUE, true},
	{"tap-fd", OPTION_FD, false},
	{"mac", OPTION_VALUE, false},
	{"mtu", OPTION_VALUE, false},
	{"drop-foreign-source", OPTION_FLAG, false},
	{"no-offloads", OPTION_FLAG, false},
	{NULL, OPTION_FLAG, false},
};

static int hex(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);

	return c && at ? (int)(at - digits) : -1;
}

static int parse_mac(const char *text, uint8_t mac[6], struct vmm_error *err)
{
	bool good = text && strlen(text) == MAC_LEN;

	for (size_t i = 0; good && i < 6; i++) {
		const char *at = text + 3 * i;

		good = hex(at[0]) >= 0 && hex(at[1]) >= 0 && at[2] == (i < 5 ? ':' : '\0');
		mac[i] = good ? (uint8_t)(16 * hex(at[0]) + hex(at[1])) : 0;
	}
	return good ? 0
		    : vmm_error_set(err, -EINVAL, "--mac '%.40s': six bytes like 0a:b3:ec:00:00:01",
				    text ? text : "");
}

static int net_check(const struct program *p, struct vmm_error *err)
{
	uint8_t mac[6];
	uint64_t mtu;
	int ret;

	if (!program_value(p, "tap") == (program_fd(p, "tap-fd") < 0)) {
		return vmm_error_set(err, -EINVAL, "one of --tap and --tap-fd is needed");
	}
	ret = parse_mac(program_value(p, "mac"), mac, err);
	return ret < 0 ? ret
		       : program_number(p, "mtu", VMM_NET_MTU_MIN, VMM_NET_MTU_MAX, 0, &mtu, err);
}

static int net_open(struct program *p, struct vmm_error *err)
{
	const char *name = program_value(p, "tap");
	struct vmm_tap *tap;
	int fd;
	int ret;

	if (!name) {
		return 0;
	}
	ret = vmm_tap_open(&tap, name, err);
	if (ret < 0) {
		return ret;
	}
	fd = fcntl(vmm_tap_fd(tap), F_DUPFD_CLOEXEC, 3);
	vmm_tap_destroy(tap);
	return fd < 0 ? vmm_error_set(err, -errno, "tap %s: %s", name, strerror(errno))
		      : program_add_fd(p, "tap-fd", fd, err);
}

/* Frames also come by a socket, from another VM or any program. */
static int open_fd(struct vmm_tap **out, int fd, struct vmm_error *err)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode)) {
		return vmm_tap_from_socket(out, fd, err);
	}
	return vmm_tap_from_fd(out, fd, err);
}

static int net_create(struct program *p, struct vmm_virtio_device **out, struct vmm_error *err)
{
	struct vmm_net_config config = {
		.drop_foreign_source = program_flag(p, "drop-foreign-source"),
		.no_offloads = program_flag(p, "no-offloads"),
	};
	uint64_t mtu;
	int ret = open_fd(&config.tap, program_fd(p, "tap-fd"), err);

	if (ret < 0) {
		return ret;
	}
	p->host = config.tap;
	(void)program_number(p, "mtu", VMM_NET_MTU_MIN, VMM_NET_MTU_MAX, 0, &mtu, err);
	config.mtu = (uint16_t)mtu;
	(void)parse_mac(program_value(p, "mac"), config.mac, err);
	return vmm_net_create(out, &config, err);
}

static void net_finish(struct program *p)
{
	vmm_tap_destroy(p->host);
}

const struct kind net_kind = {
	.name = "net",
	.help = help,
	.options = options,
	.check = net_check,
	.open = net_open,
	.create = net_create,
	.finish = net_finish,
};
