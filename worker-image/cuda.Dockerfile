# The worker's image with llama.cpp's backend for CUDA beside that for Vulkan. Built by images/build.sh worker-cuda, which lays out cuda/:
# the backend and what it needs of CUDA (cudart, cublas, cublasLt). The driver's libraries come from the node, by NVIDIA's container toolkit.
# WORKER: the worker's image.
ARG WORKER
FROM ${WORKER}
COPY cuda /opt/slicewise/packages/llama_cpp/lib/gpu
# What the toolkit brings in: libcuda, and NVML for the worker's readings of the device.
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
