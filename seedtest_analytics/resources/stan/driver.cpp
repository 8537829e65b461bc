// Command-line front end for a Stan program, for machines without CmdStan. stanc and the Stan headers of the httpstan
// wheel build it. It accepts the arguments and writes the CSV that cmdstanpy expects, through Stan's public services API;
// it contains no CmdStan code.
//
// Supported: `info`, and `method=sample` with adaptive NUTS and a diagonal metric, one chain per process. An unknown
// argument is an error, so that no setting is silently ignored.
#include <stan/version.hpp>
#include <stan/model/model_base.hpp>
#include <stan/io/empty_var_context.hpp>
#include <stan/io/json/json_data.hpp>
#include <stan/callbacks/interrupt.hpp>
#include <stan/callbacks/stream_logger.hpp>
#include <stan/callbacks/stream_writer.hpp>
#include <stan/callbacks/structured_writer.hpp>
#include <stan/services/sample/hmc_nuts_diag_e_adapt.hpp>

#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>

stan::model::model_base& new_model(stan::io::var_context& data, unsigned int seed, std::ostream* messages);

namespace {

// sysexits.h: what CmdStan returns for a wrong command line and for a failure of the model.
constexpr int EXIT_USAGE = 64;
constexpr int EXIT_SOFTWARE = 70;

class Arguments {
 public:
  Arguments(int argc, char** argv) {
    std::string group;
    for (int i = 1; i < argc; ++i) {
      const std::string word = argv[i];
      const auto equals = word.find('=');
      if (equals == std::string::npos) {
        group = word;
        continue;
      }
      std::string key = word.substr(0, equals);
      if (key == "file") key = group + " file";
      if (values_.find(key) == values_.end()) throw std::invalid_argument("argument not supported here: " + word);
      values_[key] = word.substr(equals + 1);
    }
    require("method", "sample");
    require("algorithm", "hmc");
    require("engine", "nuts");
    require("metric", "diag_e");
    require("engaged", "1");
  }

  const std::string& text(const std::string& key) const { return values_.at(key); }
  double real(const std::string& key) const { return std::stod(values_.at(key)); }
  int integer(const std::string& key) const { return std::stoi(values_.at(key)); }
  unsigned seed() const { return static_cast<unsigned>(std::stoul(values_.at("seed"))); }

 private:
  void require(const std::string& key, const std::string& only) const {
    if (values_.at(key) != only) throw std::invalid_argument(key + "=" + values_.at(key) + ": only " + only + " is supported here");
  }

  // the supported arguments, with CmdStan's defaults
  std::map<std::string, std::string> values_{
      {"method", "sample"}, {"algorithm", "hmc"}, {"engine", "nuts"}, {"metric", "diag_e"}, {"engaged", "1"},
      {"id", "1"}, {"seed", "1"}, {"init", "2"}, {"data file", ""}, {"output file", "output.csv"},
      {"refresh", "100"}, {"sig_figs", "8"}, {"num_samples", "1000"}, {"num_warmup", "1000"}, {"save_warmup", "0"},
      {"thin", "1"}, {"max_depth", "10"}, {"stepsize", "1"}, {"stepsize_jitter", "0"}, {"delta", "0.8"},
      {"gamma", "0.05"}, {"kappa", "0.75"}, {"t0", "10"}, {"init_buffer", "75"}, {"term_buffer", "50"}, {"window", "25"}};
};

std::unique_ptr<stan::io::var_context> read_json(const std::string& path) {
  if (path.empty()) return std::make_unique<stan::io::empty_var_context>();
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot open " + path);
  return std::make_unique<stan::json::json_data>(file);
}

// `init` is a radius, or the path of a JSON file with values.
bool is_number(const std::string& text) {
  try {
    std::size_t end;
    std::stod(text, &end);
    return end == text.size();
  } catch (const std::exception&) {
    return false;
  }
}

// The configuration comment that cmdstanpy parses before the column names.
void write_header(std::ostream& csv, const Arguments& a, const std::string& model) {
  csv << "# stan_version_major = " << stan::MAJOR_VERSION << "\n# stan_version_minor = " << stan::MINOR_VERSION
      << "\n# stan_version_patch = " << stan::PATCH_VERSION << "\n# model = " << model
      << "\n# method = sample (Default)\n#   sample\n#     num_samples = " << a.text("num_samples")
      << "\n#     num_warmup = " << a.text("num_warmup") << "\n#     save_warmup = " << a.text("save_warmup")
      << "\n#     thin = " << a.text("thin") << "\n#     adapt\n#       engaged = 1 (Default)\n#       delta = " << a.text("delta")
      << "\n#     algorithm = hmc (Default)\n#       hmc\n#         engine = nuts (Default)\n#           nuts\n#             max_depth = "
      << a.text("max_depth") << "\n#         metric = diag_e (Default)\n#         stepsize = " << a.text("stepsize")
      << "\n# id = " << a.text("id") << "\n# data\n#   file = " << a.text("data file") << "\n# init = " << a.text("init")
      << "\n# random\n#   seed = " << a.text("seed") << "\n# output\n#   file = " << a.text("output file")
      << "\n#   refresh = " << a.text("refresh") << "\n#   sig_figs = " << a.text("sig_figs") << "\n";
  csv.precision(a.integer("sig_figs"));
}

int print_info() {
  std::cout << "stan_version_major = " << stan::MAJOR_VERSION << "\nstan_version_minor = " << stan::MINOR_VERSION
            << "\nstan_version_patch = " << stan::PATCH_VERSION
            << "\nSTAN_THREADS=false\nSTAN_MPI=false\nSTAN_OPENCL=false\nSTAN_NO_RANGE_CHECKS=false\nSTAN_CPP_OPTIMS=false\n";
  return 0;
}

int sample(const Arguments& a) {
  const auto data = read_json(a.text("data file"));
  const std::unique_ptr<stan::model::model_base> model(&new_model(*data, a.seed(), &std::cout));
  const bool radius_given = is_number(a.text("init"));
  const auto inits = read_json(radius_given ? "" : a.text("init"));
  std::ofstream csv(a.text("output file"));
  if (!csv) throw std::runtime_error("cannot write " + a.text("output file"));
  write_header(csv, a, model->model_name());
  stan::callbacks::interrupt interrupt;
  stan::callbacks::stream_logger logger(std::cout, std::cout, std::cout, std::cerr, std::cerr);
  stan::callbacks::stream_writer draws(csv, "# ");
  stan::callbacks::writer no_output;
  stan::callbacks::structured_writer no_metric_file;
  const auto unit_metric = stan::services::util::create_unit_e_diag_inv_metric(model->num_params_r());
  const int status = stan::services::sample::hmc_nuts_diag_e_adapt(
      *model, *inits, unit_metric, a.seed(), a.integer("id"), radius_given ? a.real("init") : 2.0,
      a.integer("num_warmup"), a.integer("num_samples"), a.integer("thin"), a.integer("save_warmup") != 0,
      a.integer("refresh"), a.real("stepsize"), a.real("stepsize_jitter"), a.integer("max_depth"), a.real("delta"),
      a.real("gamma"), a.real("kappa"), a.real("t0"), a.integer("init_buffer"), a.integer("term_buffer"),
      a.integer("window"), interrupt, logger, no_output, draws, no_output, no_metric_file);
  csv.flush();
  if (!csv) throw std::runtime_error("writing draws failed (disk full?): " + a.text("output file"));
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "info") return print_info();
  try {
    return sample(Arguments(argc, argv));
  } catch (const std::invalid_argument& e) {
    std::cerr << e.what() << std::endl;
    return EXIT_USAGE;
  } catch (const std::exception& e) {
    std::cerr << e.what() << std::endl;
    return EXIT_SOFTWARE;
  }
}
