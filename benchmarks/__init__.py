"""Programs that print the figures of the documentation, by what they ask. Each is started: `python -m benchmarks.NAME`.

Is anything lost?   fault_sweep, random_kills, kill_demo, kill_prepare, rank_faults, full_disk, lightning_checkpoint,
                    mutated_inputs                                                            (docs/reliability.md)
What does it cost?  throughput, compiled, exchange, growth, overhead, startup, allocator, store, linked_store, slides,
                    noise, stain, large_pool, large_graph, report_size                        (docs/performance.md)
Does it learn?      label_efficiency, beside_others, demo_seeds, synthetic_difficulty, averages, likeness, risk_promise,
                    review_gain, label_errors                           (docs/results.md, choices.md, methods.md, ...)
Pictures            screenshots

What they share: tiny_chain, forking, killing, fake_run, sets, browser.
"""
