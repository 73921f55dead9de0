# Finds LibTorch and defines LibTorch::cpu (libtorch_cpu + libc10) and, where there is one, LibTorch::cuda
# (libc10_cuda: streams, devices, the caching allocator; kernels of libtorch_cuda are reached through the
# dispatcher).
#
# find_package(Torch) insists on a CUDA toolkit for a CUDA build of Torch, even where only the CPU
# library is used; two imported libraries are all that we need. Searched: CMAKE_PREFIX_PATH (a LibTorch
# folder, or site-packages/torch, or its share/cmake), then TORCH_ROOT.

set(_hints ${CMAKE_PREFIX_PATH} ${TORCH_ROOT} $ENV{TORCH_ROOT})
foreach(path IN LISTS CMAKE_PREFIX_PATH)
  list(APPEND _hints ${path}/../.. ${path}/torch)
endforeach()

find_path(LibTorch_INCLUDE_DIR ATen/core/Tensor.h HINTS ${_hints} PATH_SUFFIXES include)
find_library(LibTorch_CPU_LIBRARY torch_cpu HINTS ${_hints} PATH_SUFFIXES lib)
find_library(LibTorch_C10_LIBRARY c10 HINTS ${_hints} PATH_SUFFIXES lib)
find_library(LibTorch_C10_CUDA_LIBRARY c10_cuda HINTS ${_hints} PATH_SUFFIXES lib)

if(LibTorch_INCLUDE_DIR)
  file(STRINGS ${LibTorch_INCLUDE_DIR}/torch/headeronly/version.h _lines
       REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
  string(REGEX MATCHALL "[0-9]+" _numbers "${_lines}")
  list(JOIN _numbers "." LibTorch_VERSION)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR
  VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE
  "put the folder of a LibTorch into CMAKE_PREFIX_PATH, or run ./attnlab, which installs one")

if(LibTorch_FOUND AND NOT TARGET LibTorch::cpu)
  add_library(LibTorch::c10 SHARED IMPORTED)
  set_target_properties(LibTorch::c10 PROPERTIES IMPORTED_LOCATION ${LibTorch_C10_LIBRARY})
  add_library(LibTorch::cpu SHARED IMPORTED)
  set_target_properties(LibTorch::cpu PROPERTIES
    IMPORTED_LOCATION ${LibTorch_CPU_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES
      "${LibTorch_INCLUDE_DIR};${LibTorch_INCLUDE_DIR}/torch/csrc/api/include"
    INTERFACE_LINK_LIBRARIES LibTorch::c10)
  # The PyPI wheel's libtorch_cpu needs NVIDIA's CUDA runtime and CUPTI, which sit beside it.
  get_filename_component(_lib_dir ${LibTorch_CPU_LIBRARY} DIRECTORY)
  file(GLOB _nvidia ${_lib_dir}/../../nvidia/*/lib ${_lib_dir}/../../nvidia/*/*/lib)
  foreach(dir IN LISTS _nvidia)
    set_property(TARGET LibTorch::cpu APPEND PROPERTY INTERFACE_LINK_OPTIONS "LINKER:-rpath-link,${dir}")
  endforeach()
  if(LibTorch_C10_CUDA_LIBRARY)
    add_library(LibTorch::cuda SHARED IMPORTED)
    set_target_properties(LibTorch::cuda PROPERTIES
      IMPORTED_LOCATION ${LibTorch_C10_CUDA_LIBRARY}
      INTERFACE_LINK_LIBRARIES LibTorch::cpu)
  endif()
  get_filename_component(LibTorch_ROOT_DIR ${_lib_dir} DIRECTORY)
  message(STATUS "LibTorch ${LibTorch_VERSION}: ${LibTorch_ROOT_DIR}")
endif()
mark_as_advanced(LibTorch_INCLUDE_DIR LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_C10_CUDA_LIBRARY)
