# The tables of the Wayland protocols a guest may speak, made from the protocols' own files.
find_program(VMM_AWK NAMES awk mawk gawk REQUIRED)
set(protocols
	cursor-shape-v1
	fractional-scale-v1
	idle-inhibit-unstable-v1
	pointer-constraints-unstable-v1
	presentation-time
	primary-selection-unstable-v1
	relative-pointer-unstable-v1
	single-pixel-buffer-v1
	text-input-unstable-v3
	viewporter
	wayland
	xdg-activation-v1
	xdg-decoration-unstable-v1
	xdg-output-unstable-v1
	xdg-shell
)
list(TRANSFORM protocols PREPEND ${CMAKE_CURRENT_LIST_DIR}/protocols/)
list(TRANSFORM protocols APPEND .xml)
set(globals ${CMAKE_CURRENT_LIST_DIR}/globals.txt)
set(script ${CMAKE_CURRENT_LIST_DIR}/tables.awk)
set(made "")
foreach(pair names:h tables:c)
	string(REGEX REPLACE "(.*):(.*)" "\\1" what ${pair})
	string(REPLACE : . file wayland_${pair})
	add_custom_command(OUTPUT ${file}
		COMMAND ${VMM_AWK} -f ${script} ${what} ${globals} ${protocols} > ${file}.new
		COMMAND ${CMAKE_COMMAND} -E rename ${file}.new ${file}
		DEPENDS ${script} ${globals} ${protocols} VERBATIM)
	list(APPEND made ${CMAKE_CURRENT_BINARY_DIR}/${file})
endforeach()
add_custom_target(vmm_wayland_made DEPENDS ${made})

# For whoever includes wayland/wire.h. The functions are in vmm-devices.
add_library(vmm_wayland INTERFACE)
target_include_directories(vmm_wayland INTERFACE ${CMAKE_CURRENT_BINARY_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
add_dependencies(vmm_wayland vmm_wayland_made)
target_sources(vmm_devices_objects PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/wayland_tables.c)
target_link_libraries(vmm_devices_objects PRIVATE vmm_wayland)
