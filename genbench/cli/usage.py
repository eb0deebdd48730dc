"""Every command in a line, as the bare command and --help print it."""

FIRST = """\
Train a model, measure it and look at it, such as:

    genbench model=vae beta=4             a VAE of digits, in a minute
    genbench -m model=pca,vae seed=0,1    four runs, and a report that compares them"""

USAGE = """\
    genbench [-m] [SETTING=VALUE ...]     one run, or with -m every combination
    genbench --cfg job [SETTING=VALUE...] its settings, without running it
    genbench resume RUN_DIR [epochs=N]    go on where a run or a sweep stopped, device=cpu too
    genbench status SWEEP_DIR             how its jobs go on, live, also from another terminal
    genbench ls [FOLDER]                  the runs in outputs/ or another folder
    genbench show RUN_DIR                 every number of a finished run, as it was measured
    genbench compare RUN_DIR RUN_DIR...   settings and measures in which a few runs differ
    genbench app [FOLDER]                 the same runs in a browser: codes, samples, drawings
    genbench evaluate RUN_DIR [k=N]       measure a finished run anew; metrics=fid,ndb for some
    genbench sample RUN_DIR [n=N]         draw a finished run's samples: a picture, and arrays
    genbench reconstruct RUN_DIR [n=N]    likewise points of its data, encoded and decoded
    genbench interpolate RUN_DIR [n=N]    what lies between the codes of two points
    genbench traverse RUN_DIR [steps=N]   what each latent does
    genbench export RUN_DIR [to=FOLDER]   its model for other programs, such as ONNX, and a card
    genbench report FOLDER...             compare its runs in report.dir=FOLDER: table, charts, page
    genbench verify [NAME|SET ...]        prove the models' numbers by recipes; --list shows them
    genbench models                       what there is to train
    genbench datasets                     what there is to train on
    genbench experiments                  ready settings, to be run with experiment=NAME
    genbench help NAME                    all of a model, dataset or setting
    genbench --help                       every setting: meaning, range, default
    genbench completion bash|zsh|fish     a script that lets TAB complete this"""
