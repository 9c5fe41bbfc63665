# shellcheck shell=bash
# Submission from the login node, where Slurm's refusal becomes one sentence and the site file says whom to ask.

# send [sbatch's options] SCRIPT [arguments]: prints the job's id. A failed link cancels what depends on it.
send() {
  local refused
  # Slurm would accept what no node can give, and let it wait for ever; asked for a test it says so.
  refused=$(sbatch --test-only "$@" 2>&1) || fail "Slurm refuses slurm/$(script_of "$@"): $(reason "$refused")"
  sbatch --parsable --kill-on-invalid-dep=yes "$@" | cut -d';' -f1
}

script_of() {
  local word
  for word in "$@"; do
    case $word in *.sh) basename "$word"; return ;; esac
  done
}

reason() {
  local said
  said=$(sed -n 's/^.*failure: //p' <<<"$1" | tail -n1)
  case $said in
    *ccount* | *QOS* | *qos*) echo "$said; set SBATCH_ACCOUNT and SBATCH_QOS in $SITE_ENV" ;;
    *artition*) echo "$said; set SBATCH_PARTITION in $SITE_ENV to one of: $(sinfo --noheader --format=%R | sort -u | paste -sd' ')" ;;
    *"node configuration"* | *"ode count"*) echo "$said; ask for fewer nodes, or less of each, with --nodes, --gpus-per-node" ;;
    *) echo "${said:-$(tail -n1 <<<"$1")}" ;;
  esac
}

# The site's settings for what is submitted; jobs find the checkout wherever they are submitted from.
enter_site() {
  load_site
  export FLEMING_ROOT=$ROOT SITE_ENV
}

# slurm_logs FOLDER: make and print the folder for the output of jobs about it, in full: sbatch may be called elsewhere.
slurm_logs() {
  mkdir -p "$1/slurm" || fail "cannot write to $1; choose another folder"
  (cd "$1/slurm" && pwd)
}
