// system.hpp for Windows, whose texts are UTF-16. A text of this library is UTF-8.
#define NOMINMAX  // or the macros min and max would replace those of C++
// clang-format off: shellapi.h needs the words of windows.h.
#include <windows.h>
#include <shellapi.h>
// clang-format on
#include <fcntl.h>
#include <io.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "system.hpp"

namespace detkit {
namespace {

std::string utf8(const wchar_t* text) { return std::filesystem::path(text).u8string(); }

// Returns the paths of a folder's files that a word like folder\*.ppm stands for, sorted, or the
// word itself if there are none: no shell of Windows does it. A file's name contains no * and no ?.
std::vector<std::string> files_of(const std::wstring& word) {
  const size_t begin = word.find_last_of(L"\\/:") + 1;  // 0 if there is none of them
  std::vector<std::string> paths;
  WIN32_FIND_DATAW file;
  HANDLE search = INVALID_HANDLE_VALUE;
  if (word.find_first_of(L"*?", begin) != std::wstring::npos) {
    search = FindFirstFileW(word.c_str(), &file);
  }
  if (search == INVALID_HANDLE_VALUE) return {utf8(word.c_str())};
  do {
    const bool is_folder = file.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY;
    if (!is_folder) paths.push_back(utf8((word.substr(0, begin) + file.cFileName).c_str()));
  } while (FindNextFileW(search, &file));
  FindClose(search);
  if (paths.empty()) return {utf8(word.c_str())};
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

std::vector<std::string> arguments(int, char**) {
  int count = 0;
  const std::unique_ptr<wchar_t*, decltype(&LocalFree)> words(
      CommandLineToArgvW(GetCommandLineW(), &count), LocalFree);
  std::vector<std::string> out;
  for (int i = 1; i < count; ++i) {
    for (std::string& path : files_of(words.get()[i])) out.push_back(std::move(path));
  }
  return out;
}

void keep_line_ends() { _setmode(_fileno(stdout), _O_BINARY); }

void set_default_variable(const char* name, const char* value) {
  if (!std::getenv(name)) _putenv_s(name, value);
}

void* open_library(const char* path, std::string* message) {
  void* library = LoadLibraryW(std::filesystem::u8path(path).c_str());
  if (!library) *message = std::string(path) + ": error " + std::to_string(GetLastError());
  return library;
}

void* find_function(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name));
}

// Windows limits no addresses, and its threads share a heap.
size_t limit_of_addresses() { return 0; }
size_t addresses() { return 0; }
void share_heaps() {}

}  // namespace detkit
