"""`minigpt completion`: the script that makes a shell complete our commands."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx, shell):
    """Print the completion script of a SHELL.

    With it, a shell completes commands, options, names of models and data.

    \b
    bash:  minigpt completion bash > ~/.local/share/bash-completion/completions/minigpt
    zsh:   minigpt completion zsh > ~/.zfunc/_minigpt     # a folder of your $fpath
    fish:  minigpt completion fish > ~/.config/fish/completions/minigpt.fish

    To try it in the shell at hand: eval "$(minigpt completion bash)"
    """
    program = get_completion_class(shell)
    main = ctx.find_root().command
    click.echo(program(main, {}, "minigpt", "_MINIGPT_COMPLETE").source())
