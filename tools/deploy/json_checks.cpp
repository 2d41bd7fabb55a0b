#include "json_checks.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>

#include "detkit.hpp"

namespace detkit {

void fail(const std::string& where, const std::string& expected, const std::string& found) {
  throw Error(where + ": expected " + expected + ", found " + found +
              "; export it again (detkit export)");
}

// Returns a value in error messages.
std::string shown(const Json& value) {
  if (value.kind == Json::Kind::string) {
    return "'" + value.string.substr(0, 100) + (value.string.size() > 100 ? "..." : "") + "'";
  }
  if (!value.is_whole) return name_of(value.kind);
  char text[40];
  std::snprintf(text, sizeof text, "%.0f", value.number);
  return std::string(text).size() > 30 ? "a large number" : text;
}

bool is_whole(const Json& value, double least, double most) {
  return value.is_whole && value.number >= least && value.number <= most;
}

bool is_name(const Json& value) {
  const std::string& text = value.string;
  return value.kind == Json::Kind::string && !text.empty() && text.size() <= kLongestName &&
         std::none_of(text.begin(), text.end(),
                      [](char c) { return uint8_t(c) < ' ' || c == '\x7f'; });
}

const std::string& name_at(const std::string& where, const Json& value) {
  if (!is_name(value)) {
    fail(where, "a name of 1 to " + std::to_string(kLongestName) + " bytes", shown(value));
  }
  return value.string;
}

const std::vector<Json>& list(const std::string& where, const Json& value, size_t least,
                              size_t most) {
  if (value.kind != Json::Kind::array) fail(where, "an array", shown(value));
  if (value.items.size() < least || value.items.size() > most) {
    fail(where, std::to_string(least) + " to " + std::to_string(most) + " items",
         std::to_string(value.items.size()));
  }
  return value.items;
}

void check_keys(const std::string& where, const Json& value, const Keys& needed,
                const Keys& allowed) {
  if (value.kind != Json::Kind::object) fail(where, "an object", shown(value));
  const auto is_in = [](const Keys& keys, const std::string& key) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
  };
  for (const std::string& key : needed) {
    if (!value.find(key)) fail(where, "the key '" + key + "'", "no such key");
  }
  for (const auto& [key, member] : value.members) {
    if (!is_in(needed, key) && !is_in(allowed, key)) fail(where, "no key '" + key + "'", "it");
  }
}

}  // namespace detkit
