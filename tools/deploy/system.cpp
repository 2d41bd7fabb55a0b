// system.hpp for POSIX. system_windows.cpp is the other one.
#include "system.hpp"

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace detkit {

std::vector<std::string> arguments(int count, char** words) { return {words + 1, words + count}; }

void keep_line_ends() {}

void set_default_variable(const char* name, const char* value) { setenv(name, value, 0); }

void* open_library(const char* path, std::string* message) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) *message = dlerror();
  return library;
}

void* find_function(void* library, const char* name) { return dlsym(library, name); }

size_t limit_of_addresses() {
  rlimit limit{};
  const bool is_limited = getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  return is_limited ? size_t(limit.rlim_cur) : 0;
}

size_t addresses() {
  size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * size_t(sysconf(_SC_PAGESIZE));
}

// glibc reserves 64 MiB of addresses for the heap of each thread.
void share_heaps() {
#ifdef __GLIBC__
  mallopt(M_ARENA_MAX, 2);
#endif
}

}  // namespace detkit
