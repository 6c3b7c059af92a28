#!/bin/bash
# Run potstill on a SLURM cluster, from a checkout on a shared disk, after `make setup` there and `git commit`.
#
#     sbatch --gres=gpu:1 recipes/slurm.sh repro    # and `git commit` once it has ended
#     dvc exp run --queue -S 'student.hidden=8,16,32' && sbatch recipes/slurm.sh queue
#
# A job that was killed or ran out of time can be submitted again and resumes. A queue runs on one node at a time, since
# DVC's workers communicate through files. Tested on one node with SLURM 22.05, without a GPU: repro and a queue of two.
# Not tested on several nodes or on NFS (there, set `dvc config core.hardlink_lock true`).
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
    *) echo "error: the step must be repro or queue (found: $step)" >&2; exit 1 ;;
esac
