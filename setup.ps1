# Makes .venv with everything in it, on Windows: the counterpart of `make setup` without the tools
# of the tests. Not tried on a real Windows yet.
#   powershell -ExecutionPolicy Bypass -File setup.ps1 [-Torch cuda13|cuda12|cpu]
param([string]$Torch = "auto")
$ErrorActionPreference = "Stop"
Set-Location -LiteralPath $PSScriptRoot

function Invoke-Checked([string]$Program, [string[]]$Arguments) {
    & $Program @Arguments
    if ($LASTEXITCODE -ne 0) { throw "$Program $Arguments ended with $LASTEXITCODE" }
}

$python = Join-Path $PSScriptRoot ".venv\Scripts\python.exe"
if (-not (Test-Path -LiteralPath $python)) {
    $made = $false
    foreach ($version in "3.12", "3.13", "3.14", "3.11") {
        & py "-$version" -c "pass" 2>$null
        if ($LASTEXITCODE -eq 0) {
            Invoke-Checked "py" @("-$version", "-m", "venv", (Join-Path $PSScriptRoot ".venv"))
            $made = $true
            break
        }
    }
    if (-not $made) { throw "KB Ingest needs Python 3.11 to 3.14: winget install Python.Python.3.12" }
}
$build = & $python (Join-Path $PSScriptRoot "tools\torch_choice.py") "--torch" $Torch
if ($LASTEXITCODE -ne 0) { throw "The build of PyTorch could not be chosen." }
Invoke-Checked $python @("-m", "pip", "install", "--quiet", "--upgrade", "pip")
Invoke-Checked $python (@("-m", "pip", "install", "--quiet", "-c", "constraints.txt") + $build.Split(" "))
Invoke-Checked $python @("-m", "pip", "install", "--quiet", "-c", "constraints.txt", "-e", ".[screen]")
Write-Host "Done. Start the dashboard: start.bat"
