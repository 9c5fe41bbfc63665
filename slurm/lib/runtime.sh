# shellcheck shell=bash
# Where processes run: in the bare environment, or in a container by pyxis or apptainer (CONTAINER_RUNTIME).

# Sets INSIDE, what stands before a command, SRUN_INSIDE, the options of srun, and PYTHON as it is called in there.
set_runtime() {
  INSIDE=() SRUN_INSIDE=()
  local mounts=$ROOT:$ROOT
  [ "$WORK" = "$ROOT" ] || mounts+=,$WORK:$WORK
  mounts+=${CONTAINER_MOUNTS:+,$CONTAINER_MOUNTS}
  case ${CONTAINER_RUNTIME:-none} in
    none)
      PYTHON=${PYTHON:-$ROOT/.venv/bin/python}
      command -v "$PYTHON" >/dev/null || fail "there is no Python at $PYTHON; run make in $ROOT, or set PYTHON in $SITE_ENV"
      return
      ;;
    pyxis)
      grep -q -- --container-image <<<"$(srun --help 2>&1)" ||
        fail "srun has no --container-image here, so pyxis is not installed; choose another CONTAINER_RUNTIME in $SITE_ENV"
      SRUN_INSIDE=(--container-image="${CONTAINER_IMAGE:-}" --container-mounts="$mounts" --container-workdir="$WORK"
        --no-container-mount-home)
      ;;
    apptainer)
      command -v apptainer >/dev/null || fail "there is no apptainer on this node; load it in $SITE_ENV, or choose another CONTAINER_RUNTIME"
      INSIDE=(apptainer exec ${SLURM_GPUS_ON_NODE:+--nv} --bind "$mounts" --pwd "$WORK" "${CONTAINER_IMAGE:-}")
      ;;
    *) fail "CONTAINER_RUNTIME is $CONTAINER_RUNTIME; use none, pyxis or apptainer" ;;
  esac
  [ -n "${CONTAINER_IMAGE:-}" ] || fail "CONTAINER_RUNTIME is $CONTAINER_RUNTIME, but there is no CONTAINER_IMAGE; set it in $SITE_ENV"
  PYTHON=${PYTHON:-python}
}

# here COMMAND: once, on the node of the batch script.
here() {
  if [ ${#SRUN_INSIDE[@]} -gt 0 ]; then
    step --nodes=1 --ntasks=1 --nodelist="$SLURMD_NODENAME" -- "$@"
  else
    "${INSIDE[@]}" "$@"
  fi
}

# step OPTIONS -- COMMAND: a step beside others, with all GPUs and the memory of its nodes.
step() {
  step_of "$@"
  "${STEP[@]}"
}

# The same as a command in STEP, to be started in the background as a process of its own.
step_of() {
  local options=()
  while [ "$1" != -- ]; do
    options+=("$1")
    shift
  done
  shift
  STEP=(srun --overlap --mem=0 --export=ALL "${options[@]}" "${SRUN_INSIDE[@]}" "${INSIDE[@]}" "$@")
}
