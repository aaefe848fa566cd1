# shellcheck shell=bash disable=SC2154,SC2034 # variables of table and of one another
#
# The release programs: static, stripped; vmm-cli has every device, and so has vmm-device.
# Part of ../table.

row_size()
{
	size "$vmm_cli" "$vmm_device"
	result "size: vmm-cli, which has every device" "$(stat -c %s "$vmm_cli")" "$(stat -Lc %s /usr/bin/qemu-system-x86_64)" "" bytes "<= 614400 absolute"
	result "size: vmm-device" "$(stat -c %s "$vmm_device")" "" "" bytes "<= 614400 absolute"
}
