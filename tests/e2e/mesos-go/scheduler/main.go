// scheduler: a framework on the mesos-go library, as its users write one. It launches --tasks=N
// command tasks, acknowledges every update and ends with status 0 once each task was acknowledged
// as FINISHED.
//
// With --executor=PROGRAM the tasks run on an executor of that program, one on each agent, which is
// shut down at the end. With --failover=DIR the tasks wait: task n for the file DIR/gate-0 or DIR/gate-1, by n's parity.
// Once all run the program replaces itself by a second instance, which subscribes when DIR/second
// exists and knows no more than the framework's id. So the connection breaks, tasks may end while
// nobody listens, and the new instance must learn of all by reconciliation and by the updates that
// nobody acknowledged.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"syscall"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/encoding/codecs"
	"github.com/mesos/mesos-go/api/v1/lib/extras/scheduler/callrules"
	"github.com/mesos/mesos-go/api/v1/lib/extras/scheduler/controller"
	"github.com/mesos/mesos-go/api/v1/lib/extras/scheduler/eventrules"
	"github.com/mesos/mesos-go/api/v1/lib/extras/store"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli/httpsched"
	"github.com/mesos/mesos-go/api/v1/lib/resources"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/events"
)

const failoverTimeout = 60 * time.Second

var errDone = errors.New("every task finished")

type job struct {
	caller   calls.Caller
	tasks    int
	launched int
	gates    string // the folder of --failover
	executor string // the program of --executor
	codec    string
	again    bool // the second instance
	id       store.Singleton
	running  map[string]bool
	finished map[string]bool
	agents   map[string]bool // where a task was
}

const executorID = "go-executor"

// demand is what a task uses, and what an executor of ours does. The executor of a command task is
// the agent's affair.
func demand() mesos.Resources {
	return mesos.Resources{resources.NewCPUs(0.1).Resource, resources.NewMemory(16).Resource}
}

// shared is a container that sees these paths where they are on the machine.
func shared(paths ...string) *mesos.ContainerInfo {
	info := &mesos.ContainerInfo{Type: mesos.ContainerInfo_MESOS.Enum()}
	for _, path := range paths {
		if path != "" {
			path := path
			info.Volumes = append(info.Volumes, mesos.Volume{Mode: mesos.RW.Enum(),
				ContainerPath: path, HostPath: &path})
		}
	}
	return info
}

func (j *job) task(n int, agent mesos.AgentID) mesos.TaskInfo {
	id := fmt.Sprintf("go-%d", n)
	command := "echo $GREETING"
	if j.gates != "" {
		command = fmt.Sprintf("until [ -e '%s/gate-%d' ]; do sleep 0.1; done; echo $GREETING",
			j.gates, n%2)
	}
	shell, greeting := true, "grüße, 世界 𝄞"
	environment := &mesos.Environment{Variables: []mesos.Environment_Variable{
		{Name: "GREETING", Value: &greeting}, {Name: "CODEC", Value: &j.codec}}}
	task := mesos.TaskInfo{Name: id, TaskID: mesos.TaskID{Value: id}, AgentID: agent}
	if j.executor == "" {
		task.Command = &mesos.CommandInfo{Shell: &shell, Value: &command, Environment: environment}
		task.Container = shared(j.gates)
	} else {
		program := "exec " + j.executor
		task.Data = []byte(command)
		task.Executor = &mesos.ExecutorInfo{ExecutorID: mesos.ExecutorID{Value: executorID},
			Resources: demand(), Container: shared(j.gates, j.executor),
			Command: &mesos.CommandInfo{Shell: &shell, Value: &program, Environment: environment}}
	}
	return task
}

func (j *job) offers(ctx context.Context, e *scheduler.Event) error {
	for _, offer := range e.GetOffers().GetOffers() {
		remaining := mesos.Resources(offer.Resources)
		if j.executor != "" {
			remaining.Subtract(resources.Find(demand(), remaining...)...)
		}
		var launch []mesos.TaskInfo
		for !j.again && j.launched < j.tasks && len(launch) < (j.tasks+1)/2 {
			found := resources.Find(demand(), remaining...)
			if len(found) == 0 {
				break
			}
			task := j.task(j.launched, offer.AgentID)
			task.Resources = found
			remaining.Subtract(found...)
			launch = append(launch, task)
			j.launched++
		}
		call := calls.Decline(offer.ID)
		if len(launch) > 0 {
			call = calls.Accept(calls.OfferOperations{calls.OpLaunch(launch...)}.WithOffers(offer.ID))
		}
		if err := calls.CallNoData(ctx, j.caller, call); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) update(ctx context.Context, e *scheduler.Event) error {
	status := e.GetUpdate().GetStatus()
	id := status.TaskID.Value
	log.Printf("%s %s from %s, uuid %x", id, status.GetState(), status.GetSource(), status.GetUUID())
	switch status.GetState() {
	case mesos.TASK_RUNNING:
		j.running[id] = true
	case mesos.TASK_FINISHED:
		// What reconciliation tells has no uuid: the update itself is still to come.
		if len(status.GetUUID()) > 0 {
			j.finished[id] = true
		}
	case mesos.TASK_STAGING, mesos.TASK_STARTING:
	default:
		log.Fatalf("FAIL task %s: %s: %s", id, status.GetState(), status.GetMessage())
	}
	if j.gates != "" && !j.again && len(j.running) == j.tasks {
		j.replace()
	}
	j.agents[status.GetAgentID().GetValue()] = true
	if len(j.finished) < j.tasks {
		return nil
	}
	for agent := range j.agents {
		if j.executor != "" {
			if err := calls.CallNoData(ctx, j.caller, calls.Shutdown(executorID, agent)); err != nil {
				return err
			}
		}
	}
	return errDone
}

// replace ends this instance and starts the second one in its place.
func (j *job) replace() {
	id, _ := j.id.Get()
	arguments := append(append([]string{}, os.Args...), "--framework="+id)
	log.Print("replacing myself")
	log.Fatal(syscall.Exec("/proc/self/exe", arguments, os.Environ()))
}

func (j *job) subscribed(ctx context.Context, e *scheduler.Event) error {
	log.Printf("framework %s", e.GetSubscribed().GetFrameworkID().GetValue())
	if !j.again {
		return nil
	}
	unknown := map[string]string{}
	for n := 0; n < j.tasks; n++ {
		unknown[fmt.Sprintf("go-%d", n)] = ""
	}
	return calls.CallNoData(ctx, j.caller, calls.Reconcile(calls.ReconcileTasks(unknown)))
}

func main() {
	master := flag.String("master", "", "ip:port of the master")
	codec := flag.String("codec", "protobuf", "protobuf or json")
	tasks := flag.Int("tasks", 6, "how many tasks to run")
	executor := flag.String("executor", "", "program of the executor to use")
	failover := flag.String("failover", "", "be replaced in the middle; folder of the gates")
	framework := flag.String("framework", "", "id of the framework to take over")
	flag.Parse()

	media := codecs.MediaTypeProtobuf
	if *codec == codecs.NameJSON {
		media = codecs.MediaTypeJSON
	}
	id := store.NewInMemorySingleton()
	j := &job{tasks: *tasks, gates: *failover, executor: *executor, codec: *codec, id: id,
		running: map[string]bool{}, finished: map[string]bool{}, agents: map[string]bool{}}
	if *framework != "" {
		j.again = true
		id.Set(*framework)
		for _, err := os.Stat(j.gates + "/second"); err != nil; {
			time.Sleep(50 * time.Millisecond)
			_, err = os.Stat(j.gates + "/second")
		}
	}
	client := httpcli.New(httpcli.Endpoint("http://"+*master+"/api/v1/scheduler"),
		httpcli.Codec(codecs.ByMediaType[media]))
	j.caller = callrules.New(callrules.WithFrameworkID(store.GetIgnoreErrors(id))).
		Caller(httpsched.NewCaller(client, httpsched.AllowReconnection(true)))

	var result error
	ctx, cancel := context.WithCancel(context.Background())
	handler := eventrules.New(controller.LiftErrors(),
		controller.TrackSubscription(id, failoverTimeout),
		controller.AckStatusUpdates(j.caller)).
		Handle(events.Handlers{
			scheduler.Event_SUBSCRIBED: events.HandlerFunc(j.subscribed),
			scheduler.Event_OFFERS:     events.HandlerFunc(j.offers),
			scheduler.Event_UPDATE:     events.HandlerFunc(j.update),
		}.Otherwise(func(_ context.Context, e *scheduler.Event) error {
			log.Printf("event %s", e.GetType())
			return nil
		}))
	timeout, checkpoint := failoverTimeout.Seconds(), true
	info := &mesos.FrameworkInfo{Name: "mesos-go-" + *codec, Checkpoint: &checkpoint,
		FailoverTimeout: &timeout,
		Capabilities: []mesos.FrameworkInfo_Capability{
			{Type: mesos.FrameworkInfo_Capability_TASK_KILLING_STATE}}}
	controller.Run(ctx, info, j.caller, controller.WithEventHandler(handler),
		controller.WithFrameworkID(store.GetIgnoreErrors(id)),
		controller.WithSubscriptionTerminated(func(err error) { result = err; cancel() }))
	if result != errDone {
		log.Fatalf("FAIL the subscription ended: %v", result)
	}
	fmt.Printf("finished %d\n", len(j.finished))
}
