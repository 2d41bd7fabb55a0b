// What the operating system offers beyond C++: only system.cpp, for POSIX, and system_windows.cpp
// call it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace detkit {

// Returns the words after the program's name. On Windows they are UTF-8, and a word whose last part
// has a * or a ? stands for the files of such names.
std::vector<std::string> arguments(int count, char** words);

// Prints a line's end as "\n", which Windows would change.
void keep_line_ends();

// Sets a variable of the environment, unless it is set.
void set_default_variable(const char* name, const char* value);

// Loads a library by its name or path. Returns nullptr and the system's message if it fails.
void* open_library(const char* path, std::string* message);

// Returns the address of a function of a library, or nullptr.
void* find_function(void* library, const char* name);

// Returns the bytes of addresses that the process may have (`ulimit -v`), 0 without a limit.
size_t limit_of_addresses();

// Returns the bytes of addresses that the process has, 0 if the system does not tell.
size_t addresses();

// Lets the threads that are made from now on share two heaps, if the C library has one for each.
void share_heaps();

}  // namespace detkit
