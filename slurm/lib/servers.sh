# shellcheck shell=bash
# Rollout servers on nodes of their own: each node has a step of its own, so that the loss of one restarts only its part.

SUPERVISORS=()

# start_servers RUN_DIR: on SERVERS; with none, the trainer starts its own where it is.
start_servers() {
  [ ${#SERVERS[@]} -gt 0 ] || return 0
  local node folder=$1/servers
  rm -rf "$folder" # addresses of an earlier attempt lead nowhere
  mkdir -p "$folder"
  export FLEMING_ROLLOUT_SERVERS=$folder/servers.json
  say "rollout servers on ${SERVERS[*]}, logs in $LOGS/servers_*.log"
  for node in "${SERVERS[@]}"; do
    keep_serving "$node" "$folder" &
    SUPERVISORS+=($!)
  done
  start_watch
}

# keep_serving NODE FOLDER: start the servers of a node again for as long as the node is ours.
keep_serving() {
  local node=$1 folder=$2 pause=1 began code srun_pid
  trap 'kill "$srun_pid" 2>/dev/null; wait "$srun_pid"; exit 0' TERM
  trap '' USR1
  while :; do
    began=$SECONDS code=0
    step_of "${SERVER_GROUP[@]}" --nodes=1 --nodelist="$node" --ntasks=1 --cpus-per-task="$SLURM_CPUS_ON_NODE" --label \
      --open-mode=append --output="$LOGS/servers_$node.log" -- \
      env --ignore-signal=USR2 "$PYTHON" -m fleming_nemo.rollout.vllm.serve "$folder" --nodes "${#SERVERS[@]}"
    "${STEP[@]}" &
    srun_pid=$!
    wait "$srun_pid" || code=$?
    if ! node_is_ours "$node"; then
      say "rollout node $node has left the job; the other nodes go on"
      return
    fi
    [ "$code" -ne 2 ] || { say "the rollout servers of $node cannot start; the end of $LOGS/servers_$node.log says why"; return; }
    [ $((SECONDS - began)) -lt 600 ] || pause=1
    say "the rollout servers of $node ended with exit code $code; again in $pause s"
    sleep "$pause"
    pause=$((pause < 60 ? pause * 2 : 60))
  done
}

# Whether a node still belongs to the job: one that fails is taken out of a job with --no-kill.
node_is_ours() {
  local nodes # of each component
  nodes=$(scontrol show job -o "$SLURM_JOB_ID" | grep -o ' NodeList=[^ ]*' | cut -d= -f2 | paste -sd,) || return 0
  scontrol show hostnames "$nodes" | grep -qx "$1"
}

# With --no-kill a job outlives the node of its batch script, and nobody is left to end it: a rollout node watches, from a
# step of its own, and requeues the job if that node is taken out of it.
start_watch() {
  local look
  look="$(declare -f say list node_is_ours)
    SLURM_JOB_ID=$SLURM_JOB_ID
    while node_is_ours $SLURMD_NODENAME; do sleep 15; done
    say the batch script went with its node: requeue; scontrol requeue $SLURM_JOB_ID"
  # Without a container: it needs scontrol, and nothing else.
  srun --overlap --mem=0 --export=ALL "${SERVER_GROUP[@]}" --nodes=1 --nodelist="${SERVERS[0]}" --ntasks=1 \
    --output="$LOGS/watch.log" env --ignore-signal=USR2 bash -c "$look" &
  SUPERVISORS+=($!)
}

stop_servers() {
  local supervisor
  for supervisor in "${SUPERVISORS[@]}"; do kill "$supervisor" 2>/dev/null || true; done
}
