# syntax=docker/dockerfile:1
# make image, make image-cuda. Photographs and results are a folder of the host:
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/data" dhr run --data photos --recipe small --out out
#   docker run --rm --gpus all --user "$(id -u):$(id -g)" --volume "$PWD:/data" dhr:cuda run --data photos --out out

FROM python:3.12-slim AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

# PyTorch without CUDA: a tenth of the size.
FROM python:3.12-slim AS cpu
RUN --mount=from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu /wheels/*.whl
ENV HF_HOME=/cache/huggingface NUMBA_CACHE_DIR=/cache/numba HOME=/cache
RUN mkdir --mode=1777 /cache
WORKDIR /data
USER 1000
ENTRYPOINT ["dhr"]

# PyTorch's own wheels bring the CUDA libraries; the base gives the driver's interface.
FROM nvidia/cuda:13.0.1-base-ubuntu24.04 AS cuda
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/dhr
RUN --mount=from=wheel,source=/wheels,target=/wheels /opt/dhr/bin/pip install --no-cache-dir /wheels/*.whl
ENV PATH=/opt/dhr/bin:$PATH HF_HOME=/cache/huggingface NUMBA_CACHE_DIR=/cache/numba HOME=/cache
RUN mkdir --mode=1777 /cache
WORKDIR /data
USER 1000
ENTRYPOINT ["dhr"]
