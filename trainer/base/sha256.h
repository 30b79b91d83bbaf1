// The SHA-256 of bytes that come one part after the other.
#pragma once

#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;  // of OpenSSL

namespace foresight {

/// Throws Error(kResource) when OpenSSL has no SHA-256.
class Sha256 {
 public:
  Sha256();
  void update(std::string_view bytes);
  /// Of everything so far, as 64 hex digits. Nothing may follow.
  std::string finish_hex();

 private:
  std::unique_ptr<evp_md_ctx_st, void (*)(evp_md_ctx_st*)> context_;
};

}  // namespace foresight
