// What newer compilers and C++ libraries expect of the system, for systems that are older:
// glibc 2.17 and the libgomp of GCC 4.8. The symbols are hidden, so that only the prebuilt library
// uses them.
//
// libgomp itself is never linked statically: MXNet has loaded the system's, and two OpenMP runtimes
// in one process would each start a thread for every core.

#define HIDDEN __attribute__((visibility("hidden")))

typedef void (*Body)(void *);
typedef unsigned long long Count;

extern "C" {

// Of GCC 4.8's libgomp.
void GOMP_parallel_start(Body, void *, unsigned);
void GOMP_parallel_end();
bool GOMP_loop_dynamic_start(long, long, long, long, long *, long *);
bool GOMP_loop_dynamic_next(long *, long *);
bool GOMP_loop_ull_dynamic_start(bool, Count, Count, Count, Count, Count *, Count *);
bool GOMP_loop_ull_dynamic_next(Count *, Count *);

// GCC 4.9 made one call of the three. Its flags bind threads to places, which no kernel asks for.
HIDDEN void GOMP_parallel(Body body, void *data, unsigned threads, unsigned) {
  GOMP_parallel_start(body, data, threads);
  body(data);
  GOMP_parallel_end();
}

// Since GCC 9, dynamic loops are called nonmonotonic: a thread may be given pieces in any order.
// Giving them in rising order, as before, is one of the allowed orders, and is what libgomp does.
HIDDEN bool GOMP_loop_nonmonotonic_dynamic_start(long start, long end, long step, long chunk,
                                                 long *first, long *last) {
  return GOMP_loop_dynamic_start(start, end, step, chunk, first, last);
}

HIDDEN bool GOMP_loop_nonmonotonic_dynamic_next(long *first, long *last) {
  return GOMP_loop_dynamic_next(first, last);
}

HIDDEN bool GOMP_loop_ull_nonmonotonic_dynamic_start(bool up, Count start, Count end, Count step,
                                                     Count chunk, Count *first, Count *last) {
  return GOMP_loop_ull_dynamic_start(up, start, end, step, chunk, first, last);
}

HIDDEN bool GOMP_loop_ull_nonmonotonic_dynamic_next(Count *first, Count *last) {
  return GOMP_loop_ull_dynamic_next(first, last);
}

// glibc 2.32 says here whether the process has one thread, so that reference counts need no atomic
// operations. The answer no is always safe.
HIDDEN char __libc_single_threaded = 0;

}  // extern "C"
