// What a value of a JSON file has to be. The functions that check throw Error with its place.
#pragma once

#include <string>
#include <vector>

#include "json.hpp"

namespace detkit {

using Keys = std::vector<std::string>;

constexpr size_t kLongestName = 1024;  // bytes

// Throws Error: what was expected at a place, what was found, and what to do.
[[noreturn]] void fail(const std::string& where, const std::string& expected,
                       const std::string& found);

// Returns a value in error messages.
std::string shown(const Json& value);

// Returns whether a value is a whole number of this range.
bool is_whole(const Json& value, double least, double most);

// Returns whether a value is a text of 1 to kLongestName bytes, without control characters.
bool is_name(const Json& value);

// Returns a text for which is_name() holds. Throws Error for any other value.
const std::string& name_at(const std::string& where, const Json& value);

// Returns the items of an array of `least` to `most` items. Throws Error for any other value.
const std::vector<Json>& list(const std::string& where, const Json& value, size_t least,
                              size_t most);

// Throws Error unless a value is an object with the keys `needed` and otherwise only `allowed`
// ones.
void check_keys(const std::string& where, const Json& value, const Keys& needed,
                const Keys& allowed);

}  // namespace detkit
