#!/bin/bash
# Written by movinas launch --render slurm settings.yaml; change that file, and write this one again.
# A search on Slurm: sbatch this file [OPTIONS OF movinas search]
#
# Where things live:
#   videos, runs (record, checkpoints, results)   the file system that all nodes share, as the settings say
#   decoded videos                                /cache: the nodes' own disk, such as /scratch, or shared
#   record, if settings name a database           PostgreSQL; PGPASSWORD where sbatch is called, or ~/.pgpass
#
# Before its time is over the job stops its run gracefully and puts itself into the queue again, and goes on where it
# was. Preempted, its trainings write their checkpoints within 30 s. From a login node: movinas status RUN, movinas stop RUN.
#SBATCH --job-name=movinas-actions
#SBATCH --nodes=8
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32768M
#SBATCH --time=24:00:00
#SBATCH --gpus-per-node=1
#SBATCH --signal=B:USR1@900
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=movinas-actions-%j.log

set -euo pipefail

# Nodes of other users are on the same network: only this job knows the token.
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
export RAY_AUTH_TOKEN=${RAY_AUTH_TOKEN:-$(python -c 'import secrets; print(secrets.token_hex(32))')}
settings=$(mktemp "${TMPDIR:-/tmp}/movinas-$SLURM_JOB_ID-XXXXXX.yaml")
cat > "$settings" <<'SETTINGS'
name: actions
output: /shared/runs
data:
  kind: auto
  root: /shared/videos
  cache: /cache
space: a0-stream
search:
  trials: 500
  startup: 60
  workers: auto
  cpus_per_trial: 4
  gpus_per_trial: 0.5
  time_limit_minutes: 720
  stall_minutes: 60
SETTINGS

port=$((20000 + SLURM_JOB_ID % 20000))
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}'):$port
have=(--num-cpus="${SLURM_CPUS_PER_TASK:-8}" --num-gpus="${SLURM_GPUS_ON_NODE:-1}")
# Signals reach all processes of a step at once: this one keeps Ray alive until its trainings have written.
node=(python -m searcher.cluster.leaving 25 -- ray start --block --disable-usage-stats)
steps=()

finish() {
    # Ends Ray by ending the steps that run it; "ray stop" would end other jobs of this user on the node, too.
    if ((${#steps[@]})); then
        kill "${steps[@]}" 2>/dev/null || true
        wait "${steps[@]}" 2>/dev/null || true
    fi
    rm -f "$settings"
}
trap finish EXIT

srun --nodes=1 --ntasks=1 --overlap --nodelist="$head" \
    "${node[@]}" --head --include-dashboard=false \
    --node-ip-address="${address%:*}" --port="$port" "${have[@]}" &
steps+=($!)

# The head answers before others join it.
for _ in $(seq 60); do
    if (exec 3<>"/dev/tcp/${address%:*}/$port") 2>/dev/null; then break; fi
    sleep 1
done

for other in "${nodes[@]:1}"; do
    srun --nodes=1 --ntasks=1 --overlap --nodelist="$other" \
        env -u PGPASSWORD "${node[@]}" --address="$address" "${have[@]}" &
    steps+=($!)
done

movinas search "$settings" --address "$address" "$@" &
driver=$!

again=no
stop_and_requeue() {
    again=yes
    movinas stop /shared/runs/actions --timeout 12 || true
    # It may have been decoding videos, which nobody has to finish, and which "stop" does not wait for.
    for _ in $(seq 30); do
        kill -0 "$driver" 2>/dev/null || return 0
        sleep 1
    done
    kill "$driver" 2>/dev/null || true
}
trap stop_and_requeue USR1
# Cancelled or preempted: Slurm itself decides whether the job comes back.
trap 'kill "$driver" 2>/dev/null || true' TERM

# A signal ends "wait" early: the driver's own end is what counts.
status=0
while kill -0 "$driver" 2>/dev/null; do
    wait "$driver" && status=0 || status=$?
done
if [ "$again" = yes ]; then
    scontrol requeue "$SLURM_JOB_ID"
    exit 0
fi
exit "$status"
