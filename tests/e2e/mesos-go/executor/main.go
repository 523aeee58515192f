// executor: an executor on the mesos-go library. Each task's data is a shell command; it runs any
// number of tasks at a time. When the connection ends it subscribes again with what is not yet
// acknowledged, until it is told to shut down. The codec is in its environment, CODEC.
package main

import (
	"context"
	"crypto/rand"
	"log"
	"os"
	"os/exec"
	"sync"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/encoding/codecs"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/mesos/mesos-go/api/v1/lib/executor/calls"
	"github.com/mesos/mesos-go/api/v1/lib/executor/config"
	"github.com/mesos/mesos-go/api/v1/lib/executor/events"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli/httpexec"
)

type runner struct {
	sender calls.Sender
	mutex  sync.Mutex
	tasks  map[string]mesos.TaskInfo
	// By uuid, in the order they came.
	updates []executor.Call_Update
}

// report sends an update and keeps it until it is acknowledged. It holds the lock while it sends:
// updates of a task must not overtake each other.
func (r *runner) report(ctx context.Context, task *mesos.TaskInfo, state mesos.TaskState) {
	uuid := make([]byte, 16)
	if _, err := rand.Read(uuid); err != nil {
		log.Fatal(err)
	}
	source := mesos.SOURCE_EXECUTOR
	status := mesos.TaskStatus{TaskID: task.TaskID, State: &state, Source: &source, UUID: uuid}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.updates = append(r.updates, executor.Call_Update{Status: status})
	resp, err := r.sender.Send(ctx, calls.NonStreaming(calls.Update(status)))
	if resp != nil {
		resp.Close()
	}
	if err != nil {
		log.Printf("update of %s: %v", task.TaskID.Value, err)
	}
}

func (r *runner) launch(ctx context.Context, e *executor.Event) error {
	task := e.GetLaunch().GetTask()
	r.mutex.Lock()
	r.tasks[task.TaskID.Value] = task
	r.mutex.Unlock()
	go func() {
		r.report(ctx, &task, mesos.TASK_RUNNING)
		command := exec.Command("/bin/sh", "-c", string(task.GetData()))
		command.Stdout, command.Stderr = os.Stdout, os.Stderr
		state := mesos.TASK_FINISHED
		if err := command.Run(); err != nil {
			log.Printf("%s: %v", task.TaskID.Value, err)
			state = mesos.TASK_FAILED
		}
		r.report(ctx, &task, state)
	}()
	return nil
}

func (r *runner) acknowledged(_ context.Context, e *executor.Event) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	delete(r.tasks, e.GetAcknowledged().GetTaskID().Value)
	for i := range r.updates {
		if string(r.updates[i].Status.UUID) == string(e.GetAcknowledged().GetUUID()) {
			r.updates = append(r.updates[:i], r.updates[i+1:]...)
			break
		}
	}
	return nil
}

// subscribed handles the events of one connection until it ends.
func (r *runner) subscribed(ctx context.Context, subscriber calls.Sender, h events.Handler) error {
	r.mutex.Lock()
	var tasks []mesos.TaskInfo
	for _, task := range r.tasks {
		tasks = append(tasks, task)
	}
	call := calls.Subscribe(tasks, append([]executor.Call_Update{}, r.updates...))
	r.mutex.Unlock()
	resp, err := subscriber.Send(ctx, calls.NonStreaming(call))
	if resp != nil {
		defer resp.Close()
	}
	for err == nil {
		var e executor.Event
		if err = resp.Decode(&e); err == nil {
			err = h.HandleEvent(ctx, &e)
		}
	}
	return err
}

func main() {
	cfg, err := config.FromEnv()
	if err != nil {
		log.Fatal(err)
	}
	media := codecs.MediaTypeProtobuf
	if os.Getenv("CODEC") == codecs.NameJSON {
		media = codecs.MediaTypeJSON
	}
	client := httpcli.New(httpcli.Endpoint("http://"+cfg.AgentEndpoint+"/api/v1/executor"),
		httpcli.Codec(codecs.ByMediaType[media]))
	options := executor.CallOptions{calls.Framework(cfg.FrameworkID), calls.Executor(cfg.ExecutorID)}
	r := &runner{tasks: map[string]mesos.TaskInfo{},
		sender: calls.SenderWith(httpexec.NewSender(client.Send), options...)}
	subscriber := calls.SenderWith(httpexec.NewSender(client.Send, httpcli.Close(true)), options...)
	handler := events.HandlerFuncs{
		executor.Event_SUBSCRIBED:   func(context.Context, *executor.Event) error { return nil },
		executor.Event_LAUNCH:       r.launch,
		executor.Event_ACKNOWLEDGED: r.acknowledged,
		executor.Event_SHUTDOWN: func(context.Context, *executor.Event) error {
			os.Exit(0)
			return nil
		},
	}.Otherwise(func(_ context.Context, e *executor.Event) error {
		log.Printf("event %s", e.GetType())
		return nil
	})
	for lost := time.Now(); time.Since(lost) < cfg.RecoveryTimeout; time.Sleep(time.Second) {
		begin := time.Now()
		err := r.subscribed(context.Background(), subscriber, handler)
		log.Printf("the subscription ended: %v", err)
		if time.Since(begin) > time.Second {
			lost = time.Now()
		}
	}
}
