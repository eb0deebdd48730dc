"""Stand-ins for the commands of Slurm that submitit calls: they run the tasks of an array here."""

import os
import stat

SBATCH = """#!/bin/sh
# Runs the tasks of an array, two at once. `requeue` is made by scontrol.
job=$$
cp "$1" "$SLURM_STATE/script.sh"
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$SLURM_STATE/script.sh")
task() {
    echo RUNNING > "$SLURM_STATE/$job"_"$1"
    while :; do
        rm -f "$SLURM_STATE/requeue_$job"_"$1"
        env SLURM_JOB_ID=$job SLURM_ARRAY_JOB_ID=$job SLURM_ARRAY_TASK_ID=$1 \\
            sh "$SLURM_STATE/script.sh" > /dev/null 2>&1
        test -e "$SLURM_STATE/requeue_$job"_"$1" || break
    done
    echo COMPLETED > "$SLURM_STATE/$job"_"$1"
}
for i in $(seq 0 "${last:-0}"); do echo PENDING > "$SLURM_STATE/$job"_"$i"; done
(
    for i in $(seq 0 2 "${last:-0}"); do
        task "$i" & first=$!
        test "$((i + 1))" -le "${last:-0}" && task "$((i + 1))"
        wait $first
    done
) > /dev/null 2>&1 &
echo "Submitted batch job $job"
"""
SRUN = """#!/bin/sh
# Runs the command behind its options, and writes where these say.
while test "${1#--}" != "$1"; do
    case "$1" in
        --output) out=$2; shift ;;
        --error) err=$2; shift ;;
    esac
    shift
done
name() { echo "$1" | sed "s/%A/$SLURM_ARRAY_JOB_ID/; s/%a/$SLURM_ARRAY_TASK_ID/; s/%t/0/"; }
exec "$@" >> "$(name "$out")" 2>> "$(name "$err")"
"""
SACCT = """#!/bin/sh
echo "JobID|State|NodeList"
for file in "$SLURM_STATE"/[0-9]*_[0-9]*; do echo "$(basename "$file")|$(cat "$file")|here"; done
"""
SCONTROL = """#!/bin/sh
touch "$SLURM_STATE/requeue_$2"
"""


def install_slurm(folder):
    """Write the commands into a folder; returns the environment in which they are found."""
    for name, text in {
        "sbatch": SBATCH,
        "srun": SRUN,
        "sacct": SACCT,
        "scontrol": SCONTROL,
    }.items():
        path = folder / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    (folder / "state").mkdir()
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {"SLURM_STATE": str(folder / "state"), "PATH": path}
