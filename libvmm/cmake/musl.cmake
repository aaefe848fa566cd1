# Toolchain file: Linux with musl, executables as real static-pie, for this machine's architecture or VMM_TARGET.
#
# The musl-gcc wrapper is not used: with -static-pie it links a dynamic program, and with "-static -pie" one that is not
# position independent. The link line below names musl's start files itself; the contract test reads the result.
include(${CMAKE_CURRENT_LIST_DIR}/cross.cmake)
set(VMM_MUSL ON)
# Nothing is linked while CMake looks at the compiler: the rule below needs its own library paths first.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)

set(_musl_lib ${_root}/usr/lib/${VMM_TARGET}-linux-musl)
set(_musl_include ${_root}/usr/include/${VMM_TARGET}-linux-musl)
if(NOT EXISTS ${_musl_lib}/rcrt1.o)
	message(FATAL_ERROR "musl is not installed: no ${_musl_lib}/rcrt1.o (package musl-dev)")
endif()
foreach(_file include crtbeginS.o crtendS.o)
	execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=${_file}
		OUTPUT_VARIABLE _gcc_${_file} OUTPUT_STRIP_TRAILING_WHITESPACE)
endforeach()
execute_process(COMMAND ${CMAKE_C_COMPILER} -print-libgcc-file-name OUTPUT_VARIABLE _libgcc OUTPUT_STRIP_TRAILING_WHITESPACE)

# The kernel's headers (and those of the packaged libraries) lie among glibc's: give musl links to them and nothing else.
set(_sysinclude ${CMAKE_BINARY_DIR}/musl-include)
link_headers(${_sysinclude} linux asm asm-generic mtd ${_library_headers})

# gcc 12 spends the hardening where it costs least: see docs/decisions for what musl cannot do (_FORTIFY_SOURCE).
set(CMAKE_C_FLAGS_INIT "-nostdinc -isystem ${_musl_include} -isystem ${_gcc_include} -isystem ${_sysinclude} -fPIE \
-fstack-clash-protection -ftrivial-auto-var-init=zero -fzero-call-used-regs=used-gpr -fno-delete-null-pointer-checks")
if(VMM_TARGET STREQUAL aarch64)
	# Return addresses are signed. Landing pads would have no effect: musl's own code has none.
	string(APPEND CMAKE_C_FLAGS_INIT " -mbranch-protection=pac-ret")
endif()
# CMake puts -O3 -DNDEBUG behind these.
set(CMAKE_C_FLAGS_RELEASE_INIT "-g0 -flto=auto -fno-fat-lto-objects -fno-asynchronous-unwind-tables")

set(CMAKE_C_LINK_EXECUTABLE "<CMAKE_C_COMPILER> <FLAGS> -nostdlib -static-pie -Wl,--no-dynamic-linker -Wl,-s \
-Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code -L${_musl_lib} ${_musl_lib}/rcrt1.o ${_musl_lib}/crti.o ${_gcc_crtbeginS.o} \
<LINK_FLAGS> <OBJECTS> -o <TARGET> <LINK_LIBRARIES> \
-Wl,--start-group ${_libgcc} ${_musl_lib}/libc.a -Wl,--end-group ${_gcc_crtendS.o} ${_musl_lib}/crtn.o")
# What find_package(Threads) would link: it is in libc.a.
set(CMAKE_THREAD_LIBS_INIT "")
set(THREADS_PREFER_PTHREAD_FLAG OFF)
