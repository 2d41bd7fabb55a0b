// Memory for several detectors in one process.
#pragma once

#include <functional>
#include <memory>

#include "detkit.hpp"

namespace detkit {

// Makes a detector and lets it detect what its thread will detect.
using Trial = std::function<std::unique_ptr<Detector>()>;

// Prepares a process that may have only so many addresses (`ulimit -v`): its threads share two
// heaps, because glibc reserves 64 MiB for each. To be called before the first thread is made.
// Throws Error if the limit leaves too little for the back end: MXNet crashes if only a part is
// loaded.
void prepare_for_limit();

// Throws Error if that many threads, each with a detector, need more addresses than the limit:
// MXNet's own threads crash where they find no memory. Two trials show what a detector needs. Does
// nothing without a limit, or for fewer than three threads.
void check_memory(size_t threads, const Trial& trial);

}  // namespace detkit
