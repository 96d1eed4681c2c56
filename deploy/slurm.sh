#!/bin/bash
# A search on Slurm: sbatch deploy/slurm.sh settings.yaml
#
# Where things live:
#   videos, runs (record, checkpoints, results)   the file system that all nodes share, as the settings say
#   decoded videos                                data.cache of the settings: the nodes' own disk, such as /scratch, or shared
#   record, if settings name a database           PostgreSQL; PGPASSWORD or ~/.pgpass, never in the settings
#
# Before its time is over the job stops its run gracefully and puts itself into the queue again, and goes on where it
# was. From a login node: movinas status RUN, movinas stop RUN.
#SBATCH --job-name=movinas
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=2
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@900
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=movinas-%j.log

set -euo pipefail

settings=${1:?usage: sbatch slurm.sh SETTINGS [OPTIONS OF movinas search]}
shift

export RAY_AUTH_MODE=${RAY_AUTH_MODE:-disabled} RAY_USAGE_STATS_ENABLED=0
port=$((20000 + SLURM_JOB_ID % 20000))
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}'):$port
have=(--num-cpus="${SLURM_CPUS_PER_TASK:-1}" --num-gpus="${SLURM_GPUS_ON_NODE:-0}")
steps=()

finish() {
    # Ends Ray by ending the steps that run it; "ray stop" would end other jobs of this user on the node, too.
    if ((${#steps[@]})); then
        kill "${steps[@]}" 2>/dev/null || true
        wait "${steps[@]}" 2>/dev/null || true
    fi
}
trap finish EXIT

srun --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --block --disable-usage-stats --include-dashboard=false \
    --node-ip-address="${address%:*}" --port="$port" "${have[@]}" &
steps+=($!)

# The head answers before others join it.
for _ in $(seq 60); do
    if (exec 3<>"/dev/tcp/${address%:*}/$port") 2>/dev/null; then break; fi
    sleep 1
done

for node in "${nodes[@]:1}"; do
    srun --nodes=1 --ntasks=1 --nodelist="$node" \
        ray start --block --disable-usage-stats --address="$address" "${have[@]}" &
    steps+=($!)
done

movinas search "$settings" --address "$address" "$@" &
driver=$!

again=no
stop_and_requeue() {
    # The run's folder is its output and its name; python reads them as the search does.
    again=yes
    run=$(python -c "from searcher.settings.reading import load_settings; import sys; print(load_settings(sys.argv[1]).run_dir)" "$settings")
    movinas stop "$run" --timeout 12 || true
    # It may have been decoding videos, which nobody has to finish, and which "stop" does not wait for.
    for _ in $(seq 30); do
        kill -0 "$driver" 2>/dev/null || return 0
        sleep 1
    done
    kill "$driver" 2>/dev/null || true
}
trap stop_and_requeue USR1

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
