#!/bin/bash
# On a SLURM cluster: from a checkout on a disk that all nodes see, after `make setup` there and `git commit`.
#
#     sbatch --gres=gpu:1 recipes/slurm.sh repro    # and `git commit` once it has ended
#     dvc exp run --queue -S 'student.hidden=8,16,32' && sbatch recipes/slurm.sh queue
#     sbatch --array=1-4 recipes/slurm.sh search --budget 3000 --trials 200
#
# A job that is killed, or out of time, can be submitted again and goes on. A queue belongs to one node at a time: DVC's
# workers speak through files. The jobs of a search share its trials. Run on one node with SLURM 22.05, without a GPU: repro,
# a queue of two, and two jobs of a search at once. On several nodes and on NFS nothing was run (there,
# `dvc config core.hardlink_lock true`).
#SBATCH --job-name=potstill
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=12:00:00
#SBATCH --output=slurm-%j.log
set -eu
cd "$SLURM_SUBMIT_DIR"
export PATH="$PWD/.venv/bin:$PATH"
step=$1
shift
case $step in
    repro) dvc repro "$@" ;;
    queue) OMP_NUM_THREADS=1 potstill queue --jobs "$SLURM_CPUS_PER_TASK" "$@" ;;
    search) potstill search --storage "$PWD/.potstill/search.log" --jobs "$SLURM_CPUS_PER_TASK" "$@" ;;
    *) echo "error: the step is repro, queue or search" >&2; exit 1 ;;
esac
