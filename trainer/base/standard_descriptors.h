// Descriptors 0, 1 and 2.
#pragma once

namespace foresight {

/// Sees to it that descriptors 0, 1 and 2 are open, so that no file that the program opens gets one of these
/// numbers and with it what is meant for a terminal. One that was closed stays unusable: its use fails
/// (EBADF) as before. To be called first in main(). False where that cannot be done.
[[nodiscard]] bool hold_standard_descriptors();

}  // namespace foresight
