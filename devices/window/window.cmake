# Whether and how vmm-window is built: with everything else, or, in a build for another C library than the system's, as a
# project of its own with the system's compiler.
find_package(PkgConfig)
set(_missing "pkg-config")
if(PkgConfig_FOUND)
	pkg_check_modules(VMM_WINDOW_NEEDS QUIET wayland-client>=1.21 wayland-scanner wayland-protocols>=1.25)
	set(_missing "libwayland-client 1.21, wayland-scanner or wayland-protocols 1.25")
endif()
if(VMM_MUSL AND NOT VMM_TARGET STREQUAL CMAKE_HOST_SYSTEM_PROCESSOR)
	message(STATUS "vmm-window is not built for another machine: it wants that machine's shared libraries")
elseif(NOT VMM_WINDOW_NEEDS_FOUND)
	message(STATUS "vmm-window is not built: there is no ${_missing}")
elseif(VMM_MUSL)
	include(ExternalProject)
	ExternalProject_Add(vmm-window
		SOURCE_DIR ${CMAKE_CURRENT_SOURCE_DIR}/window
		BINARY_DIR ${CMAKE_CURRENT_BINARY_DIR}/window
		CMAKE_ARGS -DCMAKE_BUILD_TYPE=${CMAKE_BUILD_TYPE} -DVMM_WERROR=${VMM_WERROR}
		CMAKE_GENERATOR ${CMAKE_GENERATOR}
		INSTALL_COMMAND ""
		BUILD_ALWAYS ON)
	install(PROGRAMS ${CMAKE_CURRENT_BINARY_DIR}/window/vmm-window DESTINATION ${CMAKE_INSTALL_BINDIR})
else()
	add_subdirectory(window)
endif()
