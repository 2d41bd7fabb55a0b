// Loaded before the C library's own: a system on which a process can make 30 threads, no more.
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

#include <atomic>

using Body = void* (*)(void*);

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, Body body,
                              void* argument) {
  static std::atomic<int> made{0};
  if (made++ >= 30) return EAGAIN;
  using Create = int (*)(pthread_t*, const pthread_attr_t*, Body, void*);
  static const auto create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  return create(thread, attributes, body, argument);
}
