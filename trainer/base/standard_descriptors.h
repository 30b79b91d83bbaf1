// Descriptors 0, 1 and 2.
#pragma once

namespace foresight {

/// Opens descriptors 0, 1 and 2 where they are closed, so that no file that the program opens gets one of
/// these numbers and with it output meant for a terminal. One that was closed stays unusable: its use fails
/// (EBADF) as before. Call it first in main(). Returns false if it fails.
[[nodiscard]] bool hold_standard_descriptors();

}  // namespace foresight
