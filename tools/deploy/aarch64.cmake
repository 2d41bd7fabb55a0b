# Compiles the library and the program on an x86-64 for 64-bit ARM with Linux, as a Raspberry Pi has,
# by Debian's g++-aarch64-linux-gnu: -DCMAKE_TOOLCHAIN_FILE=aarch64.cmake
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

# This machine's packages are for another processor. -DOpenCV_DIR, -DOpenVINO_DIR and
# -DONNXRUNTIME_ROOT name those for aarch64, which may lie anywhere.
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
