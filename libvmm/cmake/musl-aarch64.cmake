# Toolchain file: musl.cmake for aarch64, from any machine.
set(VMM_TARGET aarch64)
include(${CMAKE_CURRENT_LIST_DIR}/musl.cmake)
