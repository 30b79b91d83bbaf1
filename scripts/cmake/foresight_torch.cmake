# Torch comes from the Python wheel named by FORESIGHT_PYTHON.
find_package(OpenMP REQUIRED COMPONENTS CXX)
if(SKBUILD) # pip: the Python of the environment that the wheel is for, which may be another one at every build
  set(FORESIGHT_PYTHON ${Python_EXECUTABLE})
else()
  set(FORESIGHT_PYTHON ${CMAKE_SOURCE_DIR}/.venv/bin/python CACHE FILEPATH "Python whose torch wheel is linked")
endif()
# pip hides the environment's packages from a build by variables, which -E ignores.
foreach(options "-c" "-E;-c")
  execute_process(COMMAND ${FORESIGHT_PYTHON} ${options}
    "import torch; print(torch.utils.cmake_prefix_path); print(torch.version.cuda or 'none'); print(torch.__version__)"
    OUTPUT_VARIABLE torch_facts RESULT_VARIABLE torch_missing OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT torch_missing)
    break()
  endif()
endforeach()
if(torch_missing AND SKBUILD)
  message(FATAL_ERROR "no torch under ${FORESIGHT_PYTHON}: install torch==2.11.0 into this environment, then run pip install . again")
elseif(torch_missing)
  message(FATAL_ERROR "no torch under ${FORESIGHT_PYTHON}: run scripts/setup.sh, or pass -DFORESIGHT_PYTHON=<python with torch>")
endif()
string(REPLACE "\n" ";" torch_facts "${torch_facts}")
list(GET torch_facts 0 torch_prefix)
list(GET torch_facts 1 torch_cuda) # "13.0", or "none" for a CPU wheel
list(GET torch_facts 2 torch_version)
get_filename_component(torch_root ${torch_prefix}/../.. ABSOLUTE)
# Torch's CMake files keep what they find. Of another torch than the one before it is looked for again.
if(DEFINED FORESIGHT_TORCH_ROOT AND NOT FORESIGHT_TORCH_ROOT STREQUAL torch_root)
  get_cmake_property(kept CACHE_VARIABLES)
  foreach(name ${kept})
    string(FIND "$CACHE{${name}}" "${FORESIGHT_TORCH_ROOT}/" place)
    if(NOT place EQUAL -1)
      unset(${name} CACHE)
    endif()
  endforeach()
endif()
set(FORESIGHT_TORCH_ROOT ${torch_root} CACHE INTERNAL "where torch was found")

if(NOT FORESIGHT_PROGRAM AND NOT FORESIGHT_INSTALLED) # the operators only take torch's headers and libtorch_cpu.so
  return()
endif()
find_package(CUDAToolkit QUIET)
if(FORESIGHT_CUDA STREQUAL "AUTO")
  # A toolkit of another major version does not link with the wheel's CUDA libraries.
  if(CUDAToolkit_FOUND AND torch_cuda MATCHES "^${CUDAToolkit_VERSION_MAJOR}\\.")
    set(use_cuda ON)
  else()
    set(use_cuda OFF)
  endif()
else()
  set(use_cuda ${FORESIGHT_CUDA})
endif()

add_library(foresight_torch INTERFACE)
# libtorch.so exports a std::filesystem of its own that crashes (remove_all): the system's must be found first.
target_link_libraries(foresight_torch INTERFACE -Wl,--push-state,--no-as-needed stdc++ -Wl,--pop-state)
# DT_RPATH, which is searched before LD_LIBRARY_PATH: another torch's libraries there do not fit.
target_link_options(foresight_torch INTERFACE -Wl,--disable-new-dtags)
if(use_cuda)
  # Without a list, torch's GPU detection fails where no GPU is present.
  if(NOT DEFINED ENV{TORCH_CUDA_ARCH_LIST})
    set(ENV{TORCH_CUDA_ARCH_LIST} "8.0;9.0+PTX")
  endif()
  # Torch enables the CUDA language, which looks for nvcc on the PATH only.
  if(NOT DEFINED ENV{CUDACXX})
    set(ENV{CUDACXX} ${CUDAToolkit_NVCC_EXECUTABLE})
  endif()
  find_package(Torch REQUIRED PATHS ${torch_prefix} NO_DEFAULT_PATH)
  target_include_directories(foresight_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
  target_link_libraries(foresight_torch INTERFACE ${TORCH_LIBRARIES})
  target_compile_definitions(foresight_torch INTERFACE FORESIGHT_WITH_CUDA=1)
  # The toolkit's NCCL is the version that the wheel brings (docs/decisions.md).
  find_path(FORESIGHT_NCCL_INCLUDE nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  find_library(FORESIGHT_NCCL_LIBRARY nccl HINTS ${CUDAToolkit_LIBRARY_DIR})
  if(NOT FORESIGHT_NCCL_INCLUDE OR NOT FORESIGHT_NCCL_LIBRARY)
    unset(FORESIGHT_NCCL_INCLUDE CACHE)
    message(STATUS "Foresight: no NCCL found: gradients of several ranks travel through the hosts' memory")
  endif()
  message(STATUS "Foresight: CUDA build (torch for CUDA ${torch_cuda}, toolkit ${CUDAToolkit_VERSION}, NCCL ${FORESIGHT_NCCL_LIBRARY})")
else()
  # Linked by hand: a CUDA wheel then needs no toolkit, and a CPU wheel looks the same.
  target_include_directories(foresight_torch SYSTEM INTERFACE
    ${torch_root}/include ${torch_root}/include/torch/csrc/api/include)
  target_link_libraries(foresight_torch INTERFACE
    ${torch_root}/lib/libtorch.so ${torch_root}/lib/libtorch_cpu.so ${torch_root}/lib/libc10.so)
  target_link_options(foresight_torch INTERFACE -Wl,--allow-shlib-undefined)
  if(NOT SKBUILD) # a wheel has relative paths only
    target_link_options(foresight_torch INTERFACE -Wl,-rpath,${torch_root}/lib)
  endif()
  message(STATUS "Foresight: CPU-only build (torch CUDA: ${torch_cuda}, toolkit found: ${CUDAToolkit_FOUND}, FORESIGHT_CUDA=${FORESIGHT_CUDA})")
endif()
# The wheel brings its own OpenMP runtime: linking the compiler's as well would load two, each with threads of its own.
file(GLOB torch_openmp ${torch_root}/lib/libgomp*.so*)
if(torch_openmp)
  list(GET torch_openmp 0 torch_openmp)
  target_compile_options(foresight_torch INTERFACE ${OpenMP_CXX_FLAGS})
  target_link_libraries(foresight_torch INTERFACE ${torch_openmp} Threads::Threads)
else()
  target_link_libraries(foresight_torch INTERFACE OpenMP::OpenMP_CXX Threads::Threads)
endif()
