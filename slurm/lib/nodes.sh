# shellcheck shell=bash
# Which nodes do what: TRAINERS and SERVERS (of rollouts), names of nodes; TASKS, how many processes fit on the trainer's;
# NODES, how many of them the trainer takes.

# The second component of a heterogeneous job has the servers, or else the last ROLLOUT_NODES nodes of the job.
split_nodes() {
  mapfile -t TRAINERS < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
  SERVERS=() TASKS=$SLURM_NTASKS SERVER_GROUP=()
  local rollouts=${ROLLOUT_NODES:-0} nodes=${#TRAINERS[@]}
  if [ "${SLURM_HET_SIZE:-1}" -gt 1 ]; then
    mapfile -t SERVERS < <(scontrol show hostnames "$SLURM_JOB_NODELIST_HET_GROUP_1")
    SERVER_GROUP=(--het-group=1)
  elif [ "$rollouts" -gt 0 ]; then
    [ "$rollouts" -lt "$nodes" ] || fail "ROLLOUT_NODES=$rollouts leaves none of $nodes nodes for the trainer; ask for more with --nodes"
    SERVERS=("${TRAINERS[@]:nodes-rollouts}")
    TRAINERS=("${TRAINERS[@]:0:nodes-rollouts}")
    TASKS=$((SLURM_NTASKS * (nodes - rollouts) / nodes))
  fi
}

# Half of several nodes for servers, where the recipe generates by vLLM and nobody has said what serves; false if none need
# be given.
share_with_servers() {
  case $(field rollout engine) in vllm*) ;; *) return 1 ;; esac
  [ -z "${ROLLOUT_NODES:-}${FLEMING_ROLLOUT_SERVERS:-}" ] && [ ${#SERVERS[@]} -eq 0 ] && [ ${#TRAINERS[@]} -gt 1 ] || return 1
  ROLLOUT_NODES=$((${#TRAINERS[@]} / 2))
  say "the last $ROLLOUT_NODES of ${#TRAINERS[@]} nodes serve rollouts; ROLLOUT_NODES=K chooses another number"
  split_nodes
}

# spread RANKS: evenly over as few processes a node as the trainer's nodes allow.
spread() {
  [ "$1" -le "$TASKS" ] || fail "the run needs $1 tasks, but the allocation has $TASKS; ask for more nodes"
  NODES=$(($1 < ${#TRAINERS[@]} ? $1 : ${#TRAINERS[@]}))
  [ $(($1 % NODES)) -eq 0 ] || fail "$1 processes do not spread evenly over $NODES nodes; change --nodes or parallel.dp"
}

list() { local IFS=,; echo "$*"; }

# nodes_of NODES PER_NODE OPTIONS -- COMMAND: a step on the first of the trainer's nodes, in STEP; a task that fails ends the
# others.
nodes_of() {
  local nodes=$1 per_node=$2
  shift 2
  step_of --nodes="$nodes" --nodelist="$(list "${TRAINERS[@]:0:nodes}")" --ntasks=$((nodes * per_node)) \
    --ntasks-per-node="$per_node" --cpus-per-task=$((SLURM_CPUS_ON_NODE / per_node)) --kill-on-bad-exit=1 --wait=60 "$@"
}

# check_shared FOLDER: every node reads, in its container if there is one, what this one has just written there.
check_shared() {
  local canary token blind all=("${TRAINERS[@]}" "${SERVERS[@]}")
  token=$SLURM_JOB_ID.${SLURM_RESTART_COUNT:-0}.$RANDOM canary=$1/.canary.$SLURM_JOB_ID
  { mkdir -p "$1" && echo "$token" >"$canary"; } 2>/dev/null || fail "cannot write to the run directory $1; choose another with run_dir=..."
  # shellcheck disable=SC2016  # for the nodes to expand
  local look='for _ in $(seq 10); do [ "$(cat "$1" 2>/dev/null)" = "$2" ] && exit; sleep 0.5; done; echo "$SLURMD_NODENAME"'
  blind=$(
    read_canary() { step --nodes="$1" --ntasks="$1" --ntasks-per-node=1 "${@:2}" -- bash -c "$look" - "$canary" "$token"; }
    read_canary "${SLURM_JOB_NUM_NODES:-1}"
    [ ${#SERVER_GROUP[@]} -eq 0 ] || read_canary "${#SERVERS[@]}" "${SERVER_GROUP[@]}"
  ) || fail "srun reaches not all of ${all[*]}: it ended with exit code $?, its own words are above"
  rm -f "$canary"
  [ -z "$blind" ] || fail "the run directory $1 is not shared by all nodes: $(tr '\n' ' ' <<<"$blind")cannot read what $SLURMD_NODENAME wrote there; choose another with run_dir=..., or set WORK or CONTAINER_MOUNTS in $SITE_ENV"
}
