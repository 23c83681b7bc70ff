"""Starts two model servers and the gateway on one machine, with the right flags, and watches them.

`plan.make_plan` decides what to start, without I/O, from `options.LaunchOptions`, the files
(`model_files.read_model`) and the machine (`machine.this_machine`); `vllm`, `llama_cpp` and `sglang`
hold one server's flags each. `running.run_plan` carries a plan out, `running.as_script` shows it.

Nothing is imported here: `llama_server` is a process of its own, which starts without the rest.
"""
