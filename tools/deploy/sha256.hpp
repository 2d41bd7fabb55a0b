#pragma once

#include <string>

namespace detkit {

// Returns the SHA-256 of some bytes (FIPS 180-4) as 64 hexadecimal digits.
std::string sha256(const std::string& bytes);

}  // namespace detkit
