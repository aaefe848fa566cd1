# For toolchain files: which architecture is built for (VMM_TARGET, this machine's unless set), and with what.
#
#	_triplet   Debian's name for its libraries
#	_prefix    of the compiler's programs
#	_root      where the libraries and headers of the target are: "", or packages unpacked for it
if(NOT VMM_TARGET)
	set(VMM_TARGET ${CMAKE_HOST_SYSTEM_PROCESSOR})
endif()
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${VMM_TARGET})
set(_triplet ${VMM_TARGET}-linux-gnu)
set(_prefix "")
set(_root "")
if(NOT VMM_TARGET STREQUAL CMAKE_HOST_SYSTEM_PROCESSOR)
	set(_prefix ${_triplet}-)
	# Toolchain files are read several times; the packages are looked for once.
	if(NOT DEFINED ENV{VMM_SYSROOT_${VMM_TARGET}})
		execute_process(COMMAND ${CMAKE_CURRENT_LIST_DIR}/../../tests/support/sysroot ${VMM_TARGET}
			OUTPUT_VARIABLE _root OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE _failed)
		if(_failed)
			message(FATAL_ERROR "the libraries for ${VMM_TARGET} cannot be had (tests/support/sysroot)")
		endif()
		set(ENV{VMM_SYSROOT_${VMM_TARGET}} ${_root})
	endif()
	set(_root $ENV{VMM_SYSROOT_${VMM_TARGET}})
endif()
set(CMAKE_C_COMPILER ${_prefix}gcc)
set(CMAKE_AR ${_prefix}gcc-ar)
set(CMAKE_RANLIB ${_prefix}gcc-ranlib)
set(CMAKE_C_COMPILER_AR ${_prefix}gcc-ar)
set(CMAKE_C_COMPILER_RANLIB ${_prefix}gcc-ranlib)
list(APPEND CMAKE_SYSTEM_LIBRARY_PATH ${_root}/usr/lib/${_triplet})

# link_headers(DIR NAME...): a folder of links to those of the target's headers, and to nothing else.
function(link_headers dir)
	file(MAKE_DIRECTORY ${dir})
	foreach(_name ${ARGN})
		foreach(_from ${_root}/usr/include/${_triplet} ${_root}/usr/include)
			if(EXISTS ${_from}/${_name} AND NOT EXISTS ${dir}/${_name})
				file(CREATE_LINK ${_from}/${_name} ${dir}/${_name} SYMBOLIC)
			endif()
		endforeach()
	endforeach()
endfunction()
set(_library_headers jansson.h jansson_config.h http_parser.h libfdt.h libfdt_env.h fdt.h zlib.h zconf.h)
