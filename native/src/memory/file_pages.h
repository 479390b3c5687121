// Pages of a mapped file that are not needed any more.
#pragma once

#include <cstddef>

namespace nanoaccel {

// Takes whole pages within some memory out of this process where they are unchanged pages of a
// file, which are read again if they are used again; nothing elsewhere, and not on other systems
// than Linux.
void release_file_pages(const void* memory, size_t size);

}  // namespace nanoaccel
