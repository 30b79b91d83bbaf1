#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <string_view>
#include <system_error>

#include "data/hdf5_dataset.h"
#include "data/oracle_file.h"
#include "data/oracle_layout.h"
#include "trainer/base/files.h"
#include "trainer/base/heartbeat.h"
#include "trainer/base/sha256.h"
#include "trainer/base/text.h"
#include "trainer/base/utf8.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using hdf5::Context;
using hdf5::ExpectedDataset;
using hdf5::Handle;
using hdf5::open_dataset;
using hdf5::read_part;
using hdf5::unreadable;

/// HDF5 files start with 8 bytes of signature and a version. From version 2 on, all structures have
/// checksums; HDF5 would have to trust older ones.
void require_checksummed_format(const Context& context) {
  constexpr std::string_view kSignature = "\x89HDF\r\n\x1a\n";
  std::string start(kSignature.size() + 1, '\0');
  std::ifstream file(context.path, std::ios::binary);
  if (!file) {  // too many open files, no permission: the file itself may be whole
    throw Error(ErrorKind::kResource,
                concat("cannot read ", context.path.string(), ": ", std::generic_category().message(errno),
                       "; check the limits of this process and the folder, and run again"));
  }
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  if (!start.starts_with(kSignature)) {
    context.fail("expected an oracle file (HDF5); it does not start like one");
  }
  const int version = static_cast<unsigned char>(start.back());
  if (version < 2 || version > 3) {
    context.fail(concat("not an oracle file of this program: HDF5 format with superblock ", version,
                        ", expected 2 or 3"));
  }
}

Handle open_file(const Context& context, std::uint64_t& file_bytes) {
  std::error_code error;
  file_bytes = fs::file_size(context.path, error);  // of plain files only
  if (error)
    context.fail(
        concat("expected an oracle file (HDF5) there (", error.message(), "); run the oracle stage"));
  require_checksummed_format(context);
  const Handle access = context.own(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "cannot open");
  context.check(H5Pset_fclose_degree(access.id(), H5F_CLOSE_STRONG), "cannot open");
  // Files are published whole and never changed, so they need no lock, which some file systems do not have.
  context.check(H5Pset_file_locking(access.id(), /*use_file_locking=*/false, /*ignore_when_disabled=*/true),
                "cannot open");
  return context.own(H5Fopen(context.path.c_str(), H5F_ACC_RDONLY, access.id()), H5Fclose,
                     "expected an oracle file (HDF5); it is damaged, incomplete or of another kind");
}

/// `group` must hold exactly `names`, all as plain members: a soft or external link could lead anywhere.
void require_members(const Context& context, hid_t group, const std::string& group_name,
                     const std::vector<std::string>& names) {
  const std::string what = concat("cannot list group ", group_name);
  H5G_info_t facts = {};
  context.check(H5Gget_info(group, &facts), what);
  for (const std::string& name : names) {
    const htri_t exists = H5Lexists(group, name.c_str(), H5P_DEFAULT);
    context.check(exists, what);
    if (exists == 0)
      context.fail(concat("group ", group_name, ": ", name, " is missing; record the trace again"));
    H5L_info_t link = {};
    context.check(H5Lget_info(group, name.c_str(), &link, H5P_DEFAULT), what);
    if (link.type != H5L_TYPE_HARD) {
      context.fail(
          concat("group ", group_name, ": ", name, " is a soft or external link; expected the data itself"));
    }
  }
  if (facts.nlinks != names.size()) {
    context.fail(concat("group ", group_name, ": ", facts.nlinks, " members, expected ", names.size()));
  }
}

ExpectedDataset expected_layer(const OracleDimensions& dimensions, std::int64_t layer, hid_t float16) {
  return {oracle_layer_name(dimensions.number(layer)),
          float16,
          sizeof(std::uint16_t),
          {static_cast<hsize_t>(dimensions.kv_heads), static_cast<hsize_t>(dimensions.packed_elements())}};
}

/// "1 3 5" as numbers.
std::vector<std::int64_t> layer_numbers_of(const Context& context, const std::string& text,
                                           std::int64_t layers) {
  std::vector<std::int64_t> numbers;
  std::istringstream words(text);
  for (std::int64_t number = 0; words >> number;) numbers.push_back(number);
  if (!is_layer_list(numbers, layers) || join(numbers, " ") != text) {
    context.fail(concat("attribute ", kLayersAttribute, ": '", one_line(text), "', expected ", layers,
                        " ascending layer numbers below ", kMaxLayers));
  }
  return numbers;
}

std::string_view bytes_of(const std::vector<std::uint16_t>& bits) {
  return {reinterpret_cast<const char*>(bits.data()), bits.size() * sizeof(bits[0])};
}

}  // namespace

struct OracleReader::State {
  Context context;
  std::uint64_t file_bytes = 0;
  Handle file, attention, float16;
  OracleDimensions dimensions;
  OracleProvenance provenance;
  OracleTrace trace;
  std::vector<std::string> layer_digests;

  void read_attributes();
  void read_token_datasets();
  void read_layer_digests();
  void require_layer(std::int64_t layer) const;
  void require_blocks(std::int64_t first, std::int64_t count) const;
  /// Throws unless `found` is the digest recorded of the layer.
  void require_digest(std::int64_t layer, const std::string& dataset, const std::string& found) const;
};

void OracleReader::State::read_attributes() {
  const htri_t has_version = H5Aexists(file.id(), kVersionAttribute);
  context.check(has_version, "cannot read its attributes");
  if (has_version == 0)
    context.fail("an HDF5 file, but not an oracle file of this program (no schema_version)");
  const std::int64_t version = hdf5::read_integer_attribute(context, file.id(), kVersionAttribute);
  if (version != kOracleSchemaVersion && version != kOracleSchemaVersionOfSomeLayers) {
    context.fail(concat("written by schema ", version, ", this program reads ", kOracleSchemaVersion, " and ",
                        kOracleSchemaVersionOfSomeLayers,
                        ": run `foresight oracle` with the run's config, which records it again"));
  }
  for (const NamedInteger& integer : named_integers(dimensions)) {
    *integer.value = hdf5::read_integer_attribute(context, file.id(), integer.name);
    if (*integer.value < 1 || *integer.value > integer.largest) {
      context.fail(
          concat("attribute ", integer.name, ": ", *integer.value, ", expected 1 to ", integer.largest));
    }
  }
  const std::uint64_t longest = std::min(file_bytes, kMaxStringBytes);
  if (version == kOracleSchemaVersionOfSomeLayers) {
    dimensions.numbers =
        layer_numbers_of(context, hdf5::read_string_attribute(context, file.id(), kLayersAttribute, longest),
                         dimensions.layers);
  }
  for (const NamedText& text : named_texts(provenance, trace)) {
    *text.value = hdf5::read_string_attribute(context, file.id(), text.name, longest);
    if (first_invalid_utf8(*text.value) != std::string::npos) {
      context.fail(concat("attribute ", text.name, ": not UTF-8"));
    }
  }
}

void OracleReader::State::read_token_datasets() {
  const auto tokens = static_cast<std::size_t>(dimensions.tokens);
  std::vector<Handle> handles;
  // All integers are checked before the first allocation.
  for (const TokenDataset& dataset : token_datasets(trace)) {
    handles.push_back(open_dataset(
        context, file.id(),
        {dataset.name, dataset.type, dataset.element_bytes, {static_cast<hsize_t>(dimensions.tokens)}},
        file_bytes));
  }
  trace.token_ids.resize(tokens);
  trace.loss.resize(tokens);
  trace.entropy.resize(tokens);
  trace.completion.resize(tokens);
  const auto datasets = token_datasets(trace);
  for (std::size_t i = 0; i < datasets.size(); ++i) {
    context.check(H5Dread(handles[i].id(), datasets[i].type, H5S_ALL, H5S_ALL, H5P_DEFAULT, datasets[i].data),
                  unreadable(datasets[i].name));
  }
}

void OracleReader::State::read_layer_digests() {
  for (std::int64_t layer = 0; layer < dimensions.layers; ++layer) {
    const ExpectedDataset expected = expected_layer(dimensions, layer, float16.id());
    const Handle dataset = open_dataset(context, attention.id(), expected, file_bytes);
    layer_digests.push_back(
        hdf5::read_string_attribute(context, dataset.id(), kLayerDigestAttribute, kDigestBytes));
  }
}

void OracleReader::State::require_layer(std::int64_t layer) const {
  if (layer >= 0 && layer < dimensions.layers) return;
  throw Error(ErrorKind::kInternal, concat(context.path.string(), ": layer ", layer,
                                           " was asked for, it holds ", dimensions.layers));
}

void OracleReader::State::require_blocks(std::int64_t first, std::int64_t count) const {
  if (first >= 0 && count >= 1 && count <= dimensions.blocks() - first) return;
  throw Error(ErrorKind::kInternal, concat(context.path.string(), ": ", count, " blocks from ", first,
                                           " on were asked for, it holds ", dimensions.blocks()));
}

void OracleReader::State::require_digest(std::int64_t layer, const std::string& dataset,
                                         const std::string& found) const {
  const std::string& recorded = layer_digests[static_cast<std::size_t>(layer)];
  if (found == recorded) return;
  context.fail(concat("damaged: dataset ", dataset, " has digest ", found, ", expected ", one_line(recorded),
                      "; record the trace again"));
}

OracleReader::OracleReader(const fs::path& path) : state_(std::make_unique<State>()) {
  const hdf5::QuietErrors quiet;
  State& state = *state_;
  state.context = {ErrorKind::kInput, path};
  const Context& context = state.context;
  state.file = open_file(context, state.file_bytes);
  state.float16 = hdf5::float16_type(context);
  state.read_attributes();

  std::vector<std::string> members = {kOracleAttentionGroup};
  for (const TokenDataset& dataset : token_datasets(state.trace)) members.emplace_back(dataset.name);
  require_members(context, state.file.id(), "/", members);
  state.attention = context.own(H5Gopen2(state.file.id(), kOracleAttentionGroup, H5P_DEFAULT), H5Gclose,
                                concat("cannot open group ", kOracleAttentionGroup));
  std::vector<std::string> layers;
  for (std::int64_t layer = 0; layer < state.dimensions.layers; ++layer)
    layers.push_back(oracle_layer_name(state.dimensions.number(layer)));
  require_members(context, state.attention.id(), kOracleAttentionGroup, layers);

  state.read_token_datasets();
  state.read_layer_digests();
  const std::string recorded =
      hdf5::read_string_attribute(context, state.file.id(), kDigestAttribute, kDigestBytes);
  const std::string found =
      oracle_digest(state.dimensions, state.provenance, state.trace, state.layer_digests);
  if (recorded != found) {
    context.fail(concat("damaged: digest of attributes and per-token datasets is ", found, ", expected ",
                        one_line(recorded), "; record the trace again"));
  }
}

OracleReader::~OracleReader() = default;
OracleReader::OracleReader(OracleReader&&) noexcept = default;
OracleReader& OracleReader::operator=(OracleReader&&) noexcept = default;

const OracleDimensions& OracleReader::dimensions() const {
  return state_->dimensions;
}
const OracleProvenance& OracleReader::provenance() const {
  return state_->provenance;
}
const OracleTrace& OracleReader::trace() const {
  return state_->trace;
}
const fs::path& OracleReader::path() const {
  return state_->context.path;
}

struct OracleLayer::State {
  const OracleReader::State* reader;
  ExpectedDataset expected;
  Handle dataset;
};

OracleLayer::OracleLayer(std::unique_ptr<State> state) : state_(std::move(state)) {}
OracleLayer::~OracleLayer() = default;
OracleLayer::OracleLayer(OracleLayer&&) noexcept = default;
OracleLayer& OracleLayer::operator=(OracleLayer&&) noexcept = default;

OracleLayer OracleReader::open_layer(std::int64_t layer) const {
  const hdf5::QuietErrors quiet;
  const State& state = *state_;
  const Context& context = state.context;
  state.require_layer(layer);
  const ExpectedDataset expected = expected_layer(state.dimensions, layer, state.float16.id());
  Handle dataset = open_dataset(context, state.attention.id(), expected, state.file_bytes);
  constexpr hsize_t kPiece = 1 << 19;  // elements, 1 MiB
  Sha256 digest;
  for (hsize_t head = 0; head < expected.shape[0]; ++head) {
    for (hsize_t first = 0; first < expected.shape[1]; first += kPiece) {
      heartbeat();
      digest.update(bytes_of(read_part(context, dataset, expected, {head, first},
                                       {1, std::min(kPiece, expected.shape[1] - first)})));
    }
  }
  state.require_digest(layer, expected.name, digest.finish_hex());
  return OracleLayer(
      std::make_unique<OracleLayer::State>(OracleLayer::State{&state, expected, std::move(dataset)}));
}

std::vector<std::uint16_t> OracleLayer::read_rows(std::int64_t head, std::int64_t first_block,
                                                  std::int64_t blocks) const {
  const hdf5::QuietErrors quiet;
  const OracleReader::State& reader = *state_->reader;
  const OracleDimensions& dimensions = reader.dimensions;
  reader.require_blocks(first_block, blocks);
  if (head < 0 || head >= dimensions.kv_heads) {
    throw Error(ErrorKind::kInternal, concat(reader.context.path.string(), ": KV head ", head,
                                             " was asked for, it holds ", dimensions.kv_heads));
  }
  return read_part(reader.context, state_->dataset, state_->expected,
                   {static_cast<hsize_t>(head), static_cast<hsize_t>(dimensions.first_element(first_block))},
                   {1, static_cast<hsize_t>(dimensions.elements_of_blocks(first_block, blocks))});
}

std::vector<std::uint16_t> OracleReader::read_rows(std::int64_t layer, std::int64_t first_block,
                                                   std::int64_t blocks) const {
  const hdf5::QuietErrors quiet;
  const State& state = *state_;
  const Context& context = state.context;
  const OracleDimensions& dimensions = state.dimensions;
  state.require_layer(layer);
  state.require_blocks(first_block, blocks);
  const ExpectedDataset expected = expected_layer(dimensions, layer, state.float16.id());
  const Handle dataset = open_dataset(context, state.attention.id(), expected, state.file_bytes);
  return read_part(context, dataset, expected,
                   {0, static_cast<hsize_t>(dimensions.first_element(first_block))},
                   {static_cast<hsize_t>(dimensions.kv_heads),
                    static_cast<hsize_t>(dimensions.elements_of_blocks(first_block, blocks))});
}

}  // namespace foresight
