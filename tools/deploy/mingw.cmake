# Compiles the library and the program on Linux for 64-bit Windows, by Debian's
# g++-mingw-w64-x86-64-posix: -DCMAKE_TOOLCHAIN_FILE=mingw.cmake
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR AMD64)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)  # the program needs no files of the compiler

# This machine's packages are for another system. -DOpenCV_DIR and -DONNXRUNTIME_ROOT name those for
# Windows, which may lie anywhere.
set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
