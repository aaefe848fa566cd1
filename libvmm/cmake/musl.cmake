# Toolchain file: x86_64 Linux with musl, executables as real static-pie.
#
# The musl-gcc wrapper is not used: with -static-pie it links a dynamic program, and with "-static -pie" one that is not
# position independent. The link line below names musl's start files itself; the contract test reads the result.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER gcc)
set(VMM_MUSL ON)
# Nothing is linked while CMake looks at the compiler: the rule below needs its own library paths first.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)

set(_musl_lib /usr/lib/x86_64-linux-musl)
set(_musl_include /usr/include/x86_64-linux-musl)
if(NOT EXISTS ${_musl_lib}/rcrt1.o)
	message(FATAL_ERROR "musl is not installed: no ${_musl_lib}/rcrt1.o (package musl-dev)")
endif()
execute_process(COMMAND gcc -print-file-name=include OUTPUT_VARIABLE _gcc_include OUTPUT_STRIP_TRAILING_WHITESPACE)
execute_process(COMMAND gcc -print-file-name=crtbeginS.o OUTPUT_VARIABLE _crtbegin OUTPUT_STRIP_TRAILING_WHITESPACE)
execute_process(COMMAND gcc -print-file-name=crtendS.o OUTPUT_VARIABLE _crtend OUTPUT_STRIP_TRAILING_WHITESPACE)
execute_process(COMMAND gcc -print-libgcc-file-name OUTPUT_VARIABLE _libgcc OUTPUT_STRIP_TRAILING_WHITESPACE)

# The kernel's headers (and those of the packaged libraries) lie among glibc's: give musl links to them and nothing else.
set(_sysinclude ${CMAKE_BINARY_DIR}/musl-include)
file(MAKE_DIRECTORY ${_sysinclude})
foreach(_dir /usr/include/linux /usr/include/asm-generic /usr/include/mtd /usr/include/x86_64-linux-gnu/asm
	/usr/include/jansson.h /usr/include/jansson_config.h /usr/include/x86_64-linux-gnu/jansson_config.h
	/usr/include/http_parser.h /usr/include/libfdt.h /usr/include/libfdt_env.h /usr/include/fdt.h)
	get_filename_component(_name ${_dir} NAME)
	if(EXISTS ${_dir} AND NOT EXISTS ${_sysinclude}/${_name})
		file(CREATE_LINK ${_dir} ${_sysinclude}/${_name} SYMBOLIC)
	endif()
endforeach()

# gcc 12 spends the hardening where it costs least: see docs/decisions for what musl cannot do (_FORTIFY_SOURCE).
set(CMAKE_C_FLAGS_INIT "-nostdinc -isystem ${_musl_include} -isystem ${_gcc_include} -isystem ${_sysinclude} -fPIE \
-fstack-clash-protection -ftrivial-auto-var-init=zero -fzero-call-used-regs=used-gpr -fno-delete-null-pointer-checks")
set(CMAKE_C_FLAGS_RELEASE_INIT "-Os -g0 -DNDEBUG -flto=auto -fno-fat-lto-objects -fno-asynchronous-unwind-tables")
set(CMAKE_AR gcc-ar)
set(CMAKE_RANLIB gcc-ranlib)
set(CMAKE_C_COMPILER_AR gcc-ar)
set(CMAKE_C_COMPILER_RANLIB gcc-ranlib)

set(CMAKE_C_LINK_EXECUTABLE "<CMAKE_C_COMPILER> <FLAGS> -nostdlib -static-pie -Wl,--no-dynamic-linker -Wl,-s \
-Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code -L${_musl_lib} ${_musl_lib}/rcrt1.o ${_musl_lib}/crti.o ${_crtbegin} \
<LINK_FLAGS> <OBJECTS> -o <TARGET> <LINK_LIBRARIES> \
-Wl,--start-group ${_libgcc} ${_musl_lib}/libc.a -Wl,--end-group ${_crtend} ${_musl_lib}/crtn.o")
# Debian's static libraries of other projects, built for glibc, that need nothing of it: see docs/decisions.
list(APPEND CMAKE_SYSTEM_LIBRARY_PATH /usr/lib/x86_64-linux-gnu)
# What find_package(Threads) would link: it is in libc.a.
set(CMAKE_THREAD_LIBS_INIT "")
set(THREADS_PREFER_PTHREAD_FLAG OFF)
