"""Which questions GRPO trains on, and when a stage has learned from them what it can.

    stage 1   Easy : Moderate = 1 : 1, until the reward is flat and most groups agree (`switch`), or for a fixed number
              of steps
    stage 2   Right : Wrong = 1 : 2, by what the policy makes of the whole pool (`mining`, `pools`), found anew every so
              many steps; items that look mislabelled stay out (`quarantine`)
    both      groups without signal are replaced within a bound (`refill`)

`stage.Curriculum` is what the run sees of all this; its state is in every checkpoint.
"""
