# What every object of the project is compiled with.
get_filename_component(_source ${CMAKE_CURRENT_LIST_DIR}/../.. ABSOLUTE)
add_library(vmm_flags INTERFACE)
target_compile_definitions(vmm_flags INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
target_compile_options(vmm_flags INTERFACE -Wall -Wextra -Wconversion -Wshadow -Wvla
	-Wformat=2 -Wcast-qual -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wundef
	-fno-strict-aliasing -fno-common -fstack-protector-strong
	-ffunction-sections -fdata-sections
	-ffile-prefix-map=${_source}/=)
target_link_options(vmm_flags INTERFACE -Wl,--gc-sections -Wl,-z,relro,-z,now,-z,noexecstack)
if(VMM_MUSL)
	# musl declares ioctl with an int request, which no UAPI number above 2^31 fits.
	target_compile_options(vmm_flags INTERFACE -Wno-sign-conversion)
endif()
if(VMM_WERROR)
	target_compile_options(vmm_flags INTERFACE -Werror)
endif()
if(VMM_SANITIZE)
	target_compile_options(vmm_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all
		-fno-omit-frame-pointer)
	target_link_options(vmm_flags INTERFACE -fsanitize=address,undefined)
endif()
if(VMM_COVERAGE)
	target_compile_options(vmm_flags INTERFACE --coverage -fprofile-update=atomic)
	target_link_options(vmm_flags INTERFACE --coverage)
endif()
