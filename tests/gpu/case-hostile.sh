# shellcheck shell=bash disable=SC2016,SC2154
#
# Programs in the guest that mean harm, through the stock driver. What a hostile driver can do is for the unit tests and
# the fuzz targets.

# shellcheck source=tests/gpu/case-channel.sh
. "$gpu_here/case-channel.sh"

case_hostile()
{
	local gpu files interface

	desktop_start 640x480
	must "a guest with contexts" vm_channel hostile
	gpu=$(gpu_process hostile)
	guest 'gpu_probe blobs 1' >/dev/null
	files=$(descriptors "$gpu")

	guest 'timeout 200 gpu_probe hostile 2>&1' >"$work/hostile" || true
	cat "$work/hostile"
	same "all of it is survived" "$(tail -n 1 "$work/hostile")" "hostile: all survived"
	same "by the same process" "$(gpu_process hostile)" "$gpu"
	flat "a hostile program" "$gpu" "$files"
	awake "a hostile program"
	below "what the log says about it (bytes)" "$(stat -c %s "$VMM_RUN/hostile/log")" 65536

	# What sway offers to every program, and must not to one in a VM.
	for interface in zwlr_screencopy_manager_v1 zwlr_data_control_manager_v1 zwlr_export_dmabuf_manager_v1 \
		zwp_virtual_keyboard_manager_v1 zwlr_virtual_pointer_manager_v1 zwlr_layer_shell_v1 \
		zwlr_foreign_toplevel_manager_v1 zwlr_gamma_control_manager_v1 zwlr_input_inhibit_manager_v1; do
		same "$interface" "$(guest "gpu_probe bind $interface")" refused
	done
	same "wl_output, which is allowed" "$(guest 'gpu_probe bind wl_output')" accepted
	flat "refused globals" "$gpu" "$files"
	vm_end hostile
	desktop_stop
}
