// The images of tools/deploy without a detector, for test_deploy_images.py:
//
//   deploy_images FILE...        for each "HEIGHT WIDTH" and a line feed, and its pixels as raw RGB;
//                                or "0 0 MESSAGE" and a line feed, if it is refused
//   deploy_images --write H W    raw RGB from the standard input into the file PATH
#include <cstdio>
#include <cstring>

#include "image_file.hpp"

int main(int count, char** words) {
  for (int i = 1; i < count; ++i) {
    try {
      const detkit::Picture picture = detkit::read_picture(words[i]);
      std::printf("%d %d\n", picture.height, picture.width);
      std::fwrite(picture.rgb.data(), 1, picture.rgb.size(), stdout);
    } catch (const detkit::Error& error) {
      std::printf("0 0 %s\n", error.what());
    }
  }
}
