"""Drives the server with the official MCP client and fails on the first thing that is wrong.

Usage: mcp_client.py PROGRAM REPOSITORY
"""

import asyncio
import json
import os
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main(program: str, repository: str) -> None:
    server = StdioServerParameters(command=program, args=["serve"], env=dict(os.environ))
    progress: list[float] = []

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        progress.append(done)

    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        info = await session.initialize()
        assert info.server_info.name == "codebase-mcp", info
        print("protocol", info.protocol_version)

        tools = {tool.name for tool in (await session.list_tools()).tools}
        assert tools == {
            "search_code",
            "index_repository",
            "start_indexing_background",
            "get_indexing_status",
        }, tools

        indexed = await session.call_tool(
            "index_repository", {"repo_path": repository}, progress_callback=on_progress
        )
        assert not indexed.is_error, indexed
        assert indexed.structured_content["files_indexed"] == 3, indexed
        assert progress and progress == sorted(progress), progress

        job = await session.call_tool("start_indexing_background", {"repo_path": repository})
        status = await session.call_tool(
            "get_indexing_status", {"job_id": job.structured_content["job_id"]}
        )
        assert status.structured_content["status"] in {"pending", "running", "completed"}, status

        answer = await session.call_tool("search_code", {"query": "fire timers in order"})
        first = answer.structured_content["results"][0]
        assert first["file_path"] == "src/timer.rs", answer

        hollow = repository + "/hollow"
        os.mkdir(hollow)
        nothing = await session.call_tool("index_repository", {"repo_path": hollow})
        assert nothing.is_error, nothing
        assert json.loads(nothing.content[0].text)["code"] == "INDEXING_ERROR", nothing

        refused = await session.call_tool("search_code", {"query": " "})
        assert refused.is_error, refused
        assert json.loads(refused.content[0].text)["code"] == "VALIDATION_ERROR", refused

        resources = (await session.list_resources()).resources
        assert [str(resource.uri) for resource in resources] == ["health://connection-pool"]
        health = await session.read_resource(resources[0].uri)
        assert json.loads(health.contents[0].text)["status"] == "healthy", health


asyncio.run(main(*sys.argv[1:]))
print("the official client is content")
